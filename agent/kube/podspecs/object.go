package podspecs

import (
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/json"
)

// podObject has the decoded fields of a v1 Pod. The types of k8s.io/api would cost the
// agent several MiB, and many times the memory for each pod while it is decoded.
type podObject struct {
	Metadata metadata `json:"metadata"`
	Spec     podSpec  `json:"spec"`
	Status   struct {
		Phase string `json:"phase"`
	} `json:"status"`
}

// metadata has the decoded metadata of a pod or a namespace.
type metadata struct {
	UID         string            `json:"uid"`
	Namespace   string            `json:"namespace"`
	Name        string            `json:"name"`
	Labels      map[string]string `json:"labels"`
	Annotations struct {
		Hash   string `json:"kubernetes.io/config.hash"`
		Mirror string `json:"kubernetes.io/config.mirror"`
	} `json:"annotations"`
}

// watchedPod is a Pod that is decoded from a v1 Pod.
type watchedPod struct{ Pod }

// UnmarshalJSON implements json.Unmarshaler.
func (p *watchedPod) UnmarshalJSON(data []byte) error {
	var o podObject
	if err := json.Unmarshal(data, &o); err != nil {
		return err
	}
	p.Pod = convertPod(&o)
	return nil
}

// namespaceLabels is the part of a namespace that is stored.
type namespaceLabels struct {
	name   string
	labels map[string]string
}

// UnmarshalJSON implements json.Unmarshaler.
func (n *namespaceLabels) UnmarshalJSON(data []byte) error {
	var o struct {
		Metadata metadata `json:"metadata"`
	}
	if err := json.Unmarshal(data, &o); err != nil {
		return err
	}
	*n = namespaceLabels{o.Metadata.Name, limitLabels(o.Metadata.Labels)}
	return nil
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
