package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// remedy adds to what the API server or the way to it says what to do about it.
func remedy(err error, resource string) error {
	var unreachable *url.Error
	var network net.Error
	switch {
	case err == nil:
		return nil
	case notServed(err):
		return fmt.Errorf("the cluster has no %s: Portreeve is not installed there (docs/install.md), or another --context is meant", resource)
	case apierrors.IsForbidden(err) && resource == pods.Resource:
		return fmt.Errorf("%w: no node reports that pod, and to look it up takes the right to get pods, as the ClusterRole view has it", err)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%w: bind the ClusterRole portreeve-viewer to whoever this is (kubectl create clusterrolebinding NAME --clusterrole=portreeve-viewer --user=USER)", err)
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("%w: the API server does not know who you are: log in anew, or choose another --context", err)
	case errors.As(err, &unreachable), errors.As(err, &network):
		return fmt.Errorf("%w: can't reach the API server: check --context, --kubeconfig and KUBECONFIG", err)
	}
	return err
}

// notServed says that the API server knows no such resource, which is not the same as
// that it has no such object.
func notServed(err error) bool {
	return apierrors.IsNotFound(err) && apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse)
}
