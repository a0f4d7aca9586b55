package podspec

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// object is what is decoded of a v1 Pod. The types of k8s.io/api would cost the agent
// several MiB, and each pod many times the memory for a moment.
type object struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              spec `json:"spec,omitempty"`
}

type spec struct {
	HostNetwork     bool `json:"hostNetwork,omitempty"`
	SecurityContext struct {
		Sysctls []struct {
			Name string `json:"name"`
		} `json:"sysctls,omitempty"`
	} `json:"securityContext,omitempty"`
	InitContainers []container `json:"initContainers,omitempty"`
	Containers     []container `json:"containers,omitempty"`
}

type container struct {
	Ports []struct {
		ContainerPort int `json:"containerPort"`
		HostPort      int `json:"hostPort,omitempty"`
	} `json:"ports,omitempty"`
	LivenessProbe  *action `json:"livenessProbe,omitempty"`
	ReadinessProbe *action `json:"readinessProbe,omitempty"`
	StartupProbe   *action `json:"startupProbe,omitempty"`
	Lifecycle      struct {
		PostStart *action `json:"postStart,omitempty"`
		PreStop   *action `json:"preStop,omitempty"`
	} `json:"lifecycle,omitempty"`
}

// action is a probe or a hook that goes to a port of the pod.
type action struct {
	HTTPGet   *target `json:"httpGet,omitempty"`
	TCPSocket *target `json:"tcpSocket,omitempty"`
	GRPC      *target `json:"grpc,omitempty"`
}

type target struct {
	// Port is a number, or the name of one of the container's ports.
	Port intstr.IntOrString `json:"port"`
	// Host is empty for the pod itself.
	Host string `json:"host,omitempty"`
}

func (a *action) ports() (list []int) {
	if a == nil {
		return nil
	}
	for _, t := range []*target{a.HTTPGet, a.TCPSocket, a.GRPC} {
		if t != nil && t.Port.Type == intstr.Int && t.Host == "" {
			list = append(list, t.Port.IntValue())
		}
	}
	return list
}

// DeepCopyObject implements runtime.Object. The spec is shared: nobody changes it.
func (o *object) DeepCopyObject() runtime.Object {
	c := *o
	c.ObjectMeta = *o.ObjectMeta.DeepCopy()
	return &c
}

// list is a v1 PodList.
type list struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []object `json:"items"`
}

// DeepCopyObject implements runtime.Object.
func (l *list) DeepCopyObject() runtime.Object {
	c := *l
	c.Items = make([]object, 0, len(l.Items))
	for i := range l.Items {
		c.Items = append(c.Items, *l.Items[i].DeepCopyObject().(*object))
	}
	return &c
}
