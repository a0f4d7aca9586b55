package main

import (
	"context"
	"fmt"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	authorizationv1client "k8s.io/client-go/kubernetes/typed/authorization/v1"

	"portreeve.io/portreeve/api/v1alpha1"
)

// right is a verb on a resource. Leader election has its own, and says so itself.
type right struct{ verb, group, resource, namespace string }

// needs are the rights without which the controllers cannot work. Events are not among
// them: without those it is only quieter.
func needs(namespace string) (rights []right) {
	for _, verb := range []string{"list", "watch"} {
		rights = append(rights,
			right{verb, "", "nodes", ""},
			right{verb, "", "pods", namespace},
			right{verb, v1alpha1.GroupVersion.Group, "portpressures", ""},
			right{verb, v1alpha1.GroupVersion.Group, "nodetunings", ""})
	}
	return append(rights,
		right{"patch", v1alpha1.GroupVersion.Group, "nodetunings", ""},
		right{"patch", v1alpha1.GroupVersion.Group, "nodetunings/status", ""},
		right{"create", v1alpha1.GroupVersion.Group, "portpressures", ""},
		right{"patch", v1alpha1.GroupVersion.Group, "portpressures", ""})
}

func (r right) String() string {
	if r.namespace == "" {
		return r.verb + " " + r.resource
	}
	return fmt.Sprintf("%s %s in %s", r.verb, r.resource, r.namespace)
}

// denied names the rights that are missing, in a sentence, or is empty.
func denied(ctx context.Context, reviews authorizationv1client.SelfSubjectAccessReviewInterface, namespace string) string {
	var missing []string
	for _, r := range needs(namespace) {
		resource, sub, _ := strings.Cut(r.resource, "/")
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: r.verb, Group: r.group, Resource: resource, Subresource: sub, Namespace: r.namespace},
		}}
		answer, err := reviews.Create(ctx, review, metav1.CreateOptions{})
		if err != nil {
			return "the API server cannot be asked for this account's rights: " + strings.ReplaceAll(err.Error(), "\n", "; ") + "; waiting"
		}
		if !answer.Status.Allowed {
			missing = append(missing, r.String())
		}
	}
	if len(missing) == 0 {
		return ""
	}
	return "no right to " + strings.Join(missing, ", ") + ": bind the roles of the chart or of config/rbac to this account; waiting"
}
