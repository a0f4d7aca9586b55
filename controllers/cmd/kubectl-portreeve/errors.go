package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// addRemedy adds the remedy to an error of a request for resource.
func addRemedy(err error, resource string) error {
	var unreachable *url.Error
	var network net.Error
	switch {
	case err == nil:
		return nil
	case isNotServed(err):
		return fmt.Errorf("the cluster has no %s: "+
			"install Portreeve there (docs/install.md), or choose another --context", resource)
	case apierrors.IsForbidden(err) && resource == podResource.Resource:
		return fmt.Errorf("%w: no node reports this pod, "+
			"and finding its node requires permission to get pods, which the ClusterRole view grants", err)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%w: bind the ClusterRole portreeve-viewer to this user "+
			"(kubectl create clusterrolebinding NAME --clusterrole=portreeve-viewer --user=USER)", err)
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("%w: the API server rejected the credentials: log in again, or choose another --context", err)
	case errors.As(err, &unreachable), errors.As(err, &network):
		return fmt.Errorf("%w: can't reach the API server: check --context, --kubeconfig and KUBECONFIG", err)
	}
	return err
}

// isNotServed reports whether the API server doesn't have the resource at all, as opposed
// to the object.
func isNotServed(err error) bool {
	return apierrors.IsNotFound(err) && apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse)
}
