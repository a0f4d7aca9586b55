package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	authorizationv1client "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/rest"

	"portreeve.io/portreeve/api/v1alpha1"
)

// awaitAPI waits until the API server serves PortPressure and this process has the rights
// that it needs, or until ctx ends. It logs what is missing, and logs again when that
// changes.
func awaitAPI(
	ctx context.Context, log logr.Logger, config *rest.Config, httpClient *http.Client,
	namespace string, pause time.Duration,
) error {
	client, err := discovery.NewDiscoveryClientForConfigAndClient(config, httpClient)
	if err != nil {
		return err
	}
	authorization, err := authorizationv1client.NewForConfigAndClient(config, httpClient)
	if err != nil {
		return err
	}
	reviews := authorization.SelfSubjectAccessReviews()
	reported := ""
	backoff := wait.Backoff{Duration: pause, Factor: 2, Jitter: 0.5, Steps: 10, Cap: maxPause}
	return backoff.DelayFunc().Until(ctx, true, true, func(ctx context.Context) (bool, error) {
		missing := explainMissingKind(client.ServerResourcesForGroupVersion(v1alpha1.GroupVersion.String()))
		if missing == "" {
			missing = explainMissingRights(ctx, reviews, namespace)
		}
		if missing != "" && missing != reported {
			log.Error(nil, missing, "server", config.Host)
		}
		reported = missing
		return missing == "", nil
	})
}

// explainMissingKind returns what is missing and a remedy, or an empty string.
func explainMissingKind(known *metav1.APIResourceList, err error) string {
	const install = "install the CRDs of this version, by the chart or by kubectl apply -k config/crd; waiting"
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Sprintf("the API server does not serve %s: %s", v1alpha1.GroupVersion, install)
	case apierrors.IsUnauthorized(err):
		return "the API server does not accept this token or certificate: " +
			"check the kubeconfig or the service account; waiting"
	case err != nil:
		return "failed to list the kinds of the API server: " + strings.ReplaceAll(err.Error(), "\n", "; ") + "; waiting"
	case !slices.ContainsFunc(known.APIResources, func(r metav1.APIResource) bool { return r.Kind == "PortPressure" }):
		return fmt.Sprintf("the API server serves %s without PortPressure: %s", v1alpha1.GroupVersion, install)
	}
	return ""
}
