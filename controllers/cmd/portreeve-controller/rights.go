package main

import (
	"context"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	authorizationv1client "k8s.io/client-go/kubernetes/typed/authorization/v1"

	"portreeve.io/portreeve/api/v1alpha1"
)

// accessRight is the right to use a verb on a resource, or on the one object with the name.
type accessRight struct{ verb, group, resource, namespace, name string }

// listRequiredRights returns the rights that the controllers need. They also work without
// the right to create Events. Leader election logs which of its own rights are missing.
func listRequiredRights(namespace string) (rights []accessRight) {
	for _, verb := range []string{"list", "watch"} {
		rights = append(rights,
			accessRight{verb: verb, group: "", resource: "nodes", namespace: ""},
			accessRight{verb: verb, group: "", resource: "pods", namespace: namespace},
			accessRight{verb: verb, group: v1alpha1.GroupVersion.Group, resource: "portpressures", namespace: ""},
			accessRight{verb: verb, group: v1alpha1.GroupVersion.Group, resource: "nodetunings", namespace: ""},
			accessRight{verb: verb, group: "", resource: "configmaps", namespace: namespace, name: v1alpha1.PaceConfigMap},
			accessRight{verb: verb, group: "apps", resource: "controllerrevisions", namespace: namespace})
	}
	for _, verb := range []string{"create", "delete"} {
		rights = append(rights, accessRight{verb: verb, group: "apps", resource: "controllerrevisions", namespace: namespace})
	}
	return append(rights,
		accessRight{verb: "get", group: "apiextensions.k8s.io", resource: "customresourcedefinitions", name: "nodetunings." + v1alpha1.GroupVersion.Group},
		accessRight{verb: "patch", group: v1alpha1.GroupVersion.Group, resource: "nodetunings", namespace: ""},
		accessRight{verb: "patch", group: v1alpha1.GroupVersion.Group, resource: "nodetunings/status", namespace: ""},
		accessRight{verb: "create", group: v1alpha1.GroupVersion.Group, resource: "portpressures", namespace: ""},
		accessRight{verb: "patch", group: v1alpha1.GroupVersion.Group, resource: "portpressures", namespace: ""})
}

func (r accessRight) String() string {
	text := r.verb + " " + r.resource
	if r.name != "" {
		text += " " + r.name
	}
	if r.namespace != "" {
		text += " in " + r.namespace
	}
	return text
}

// explainMissingRights returns which rights are missing and a remedy, or an empty string.
func explainMissingRights(
	ctx context.Context, reviews authorizationv1client.SelfSubjectAccessReviewInterface, namespace string,
) string {
	var missing []string
	for _, r := range listRequiredRights(namespace) {
		resource, sub, _ := strings.Cut(r.resource, "/")
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Verb: r.verb, Group: r.group, Resource: resource, Subresource: sub, Namespace: r.namespace, Name: r.name,
			},
		}}
		answer, err := reviews.Create(ctx, review, metav1.CreateOptions{})
		if err != nil {
			return "failed to check the rights of this account: " + strings.ReplaceAll(err.Error(), "\n", "; ") + "; waiting"
		}
		if !answer.Status.Allowed {
			missing = append(missing, r.String())
		}
	}
	if len(missing) == 0 {
		return ""
	}
	return "no right to " + strings.Join(missing, ", ") +
		": bind the roles of the chart or of config/rbac to this account; waiting"
}
