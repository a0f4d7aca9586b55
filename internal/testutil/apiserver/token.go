package apiserver

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// RequestToken returns a new token of the service account, bound to the object unless
// bound is nil.
func (s *Server) RequestToken(ctx context.Context, account types.NamespacedName,
	bound *authenticationv1.BoundObjectReference) (string, error) {
	sa := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: account.Namespace, Name: account.Name}}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{BoundObjectRef: bound}}
	if err := s.Client.SubResource("token").Create(ctx, sa, request); err != nil {
		return "", fmt.Errorf("request a token of the service account %s: %w", account, err)
	}
	return request.Status.Token, nil
}

// PodReference returns the reference for a token that is bound to the pod.
func PodReference(pod *corev1.Pod) *authenticationv1.BoundObjectReference {
	return &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID}
}
