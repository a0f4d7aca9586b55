// Package controlplane runs an API server (package apiserver) with Portreeve's CRDs,
// RBAC and admission policies, and Portreeve's programs against it, each with the token
// of its own service account. There is no kubelet: the caller does for the pods what a
// kubelet would do.
//
// The programs end with the process that started them, also when it is killed.
package controlplane
