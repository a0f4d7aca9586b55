// Package controlplane runs a real Kubernetes API on loopback (etcd and kube-apiserver of
// hack/cluster/build.sh) with Portreeve's CRDs, rights and policies, and Portreeve's
// programs against it, each with the token of its own service account. There is no
// kubelet: whoever uses the package plays its part for the pods.
//
// The programs end with the process that started them, also when it is killed. The
// kernel ties that to the thread that starts them (prctl(2), PR_SET_PDEATHSIG), so
// the goroutine of main keeps to the main thread, and has to call Start and Run.
package controlplane
