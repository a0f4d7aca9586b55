package podspecs

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// podObject has the decoded fields of a v1 Pod. The types of k8s.io/api would cost the
// agent several MiB, and many times the memory for each pod while it is decoded.
type podObject struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              podSpec `json:"spec"`
	Status            struct {
		Phase string `json:"phase"`
	} `json:"status"`
}

type podSpec struct {
	HostNetwork     bool `json:"hostNetwork"`
	SecurityContext struct {
		Sysctls []struct {
			Name string `json:"name"`
		} `json:"sysctls"`
	} `json:"securityContext"`
	InitContainers []containerSpec `json:"initContainers"`
	Containers     []containerSpec `json:"containers"`
}

type containerSpec struct {
	SecurityContext struct {
		Privileged bool   `json:"privileged"`
		ProcMount  string `json:"procMount"`
	} `json:"securityContext"`
	Ports []struct {
		ContainerPort int `json:"containerPort"`
		HostPort      int `json:"hostPort"`
	} `json:"ports"`
	LivenessProbe  *handlerSpec `json:"livenessProbe"`
	ReadinessProbe *handlerSpec `json:"readinessProbe"`
	StartupProbe   *handlerSpec `json:"startupProbe"`
	Lifecycle      struct {
		PostStart *handlerSpec `json:"postStart"`
		PreStop   *handlerSpec `json:"preStop"`
	} `json:"lifecycle"`
}

// canWriteSysctls reports whether the container's /proc/sys may be writable: runtimes mount
// it read-only in all others.
func (c *containerSpec) canWriteSysctls() bool {
	return c.SecurityContext.Privileged || c.SecurityContext.ProcMount == "Unmasked"
}

// handlerSpec is a probe or a hook that connects to a port of the pod.
type handlerSpec struct {
	HTTPGet   *portTarget `json:"httpGet"`
	TCPSocket *portTarget `json:"tcpSocket"`
	GRPC      *portTarget `json:"grpc"`
}

type portTarget struct {
	// Port is a number, or the name of one of the container's ports.
	Port intstr.IntOrString `json:"port"`
	// Host is empty for the pod itself.
	Host string `json:"host"`
}

// listPorts returns the numeric ports of the pod itself that the handler connects to.
func (a *handlerSpec) listPorts() (list []int) {
	if a == nil {
		return nil
	}
	for _, t := range []*portTarget{a.HTTPGet, a.TCPSocket, a.GRPC} {
		if t != nil && t.Port.Type == intstr.Int && t.Host == "" {
			list = append(list, t.Port.IntValue())
		}
	}
	return list
}

// DeepCopyObject implements runtime.Object. The spec is shared, because it is
// never changed.
func (o *podObject) DeepCopyObject() runtime.Object {
	c := *o
	c.ObjectMeta = *o.DeepCopy()
	return &c
}

// podList is a v1 PodList.
type podList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`
	Items           []podObject `json:"items"`
}

// DeepCopyObject implements runtime.Object.
func (l *podList) DeepCopyObject() runtime.Object {
	c := *l
	c.Items = make([]podObject, 0, len(l.Items))
	for i := range l.Items {
		c.Items = append(c.Items, *l.Items[i].DeepCopyObject().(*podObject))
	}
	return &c
}
