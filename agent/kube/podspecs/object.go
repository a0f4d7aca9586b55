package podspecs

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// object is what is decoded of a v1 Pod. The types of k8s.io/api would cost the agent
// several MiB, and each pod many times the memory for a moment.
type object struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              spec `json:"spec"`
	Status            struct {
		Phase string `json:"phase"`
	} `json:"status"`
}

type spec struct {
	HostNetwork     bool `json:"hostNetwork"`
	SecurityContext struct {
		Sysctls []struct {
			Name string `json:"name"`
		} `json:"sysctls"`
	} `json:"securityContext"`
	InitContainers []container `json:"initContainers"`
	Containers     []container `json:"containers"`
}

type container struct {
	Ports []struct {
		ContainerPort int `json:"containerPort"`
		HostPort      int `json:"hostPort"`
	} `json:"ports"`
	LivenessProbe  *action `json:"livenessProbe"`
	ReadinessProbe *action `json:"readinessProbe"`
	StartupProbe   *action `json:"startupProbe"`
	Lifecycle      struct {
		PostStart *action `json:"postStart"`
		PreStop   *action `json:"preStop"`
	} `json:"lifecycle"`
}

// action is a probe or a hook that goes to a port of the pod.
type action struct {
	HTTPGet   *target `json:"httpGet"`
	TCPSocket *target `json:"tcpSocket"`
	GRPC      *target `json:"grpc"`
}

type target struct {
	// Port is a number, or the name of one of the container's ports.
	Port intstr.IntOrString `json:"port"`
	// Host is empty for the pod itself.
	Host string `json:"host"`
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
	c.ObjectMeta = *o.DeepCopy()
	return &c
}

// list is a v1 PodList.
type list struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`
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
