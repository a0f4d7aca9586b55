package apiwatch

import (
	"errors"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/json"
)

// Object is an object of the API of which only Value is kept, and the metadata that a
// reflector needs. Nothing else is stored while it is decoded.
type Object[V any] struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	// Value is decoded from the whole object by its json.Unmarshaler, which decides what is
	// kept and limits it.
	Value V
}

// UnmarshalJSON implements json.Unmarshaler.
func (o *Object[V]) UnmarshalJSON(data []byte) error {
	var head struct {
		metav1.TypeMeta `json:",inline"`
		Metadata        struct {
			Namespace       string    `json:"namespace"`
			Name            string    `json:"name"`
			UID             types.UID `json:"uid"`
			ResourceVersion string    `json:"resourceVersion"`
			Annotations     struct {
				InitialEventsEnd string `json:"k8s.io/initial-events-end"`
			} `json:"annotations"`
		} `json:"metadata"`
	}
	if err := errors.Join(json.Unmarshal(data, &head), json.Unmarshal(data, &o.Value)); err != nil {
		return err
	}
	m := &head.Metadata
	o.TypeMeta = head.TypeMeta
	o.ObjectMeta = metav1.ObjectMeta{Namespace: m.Namespace, Name: m.Name, UID: m.UID, ResourceVersion: m.ResourceVersion}
	if end := m.Annotations.InitialEventsEnd; end != "" {
		o.Annotations = map[string]string{metav1.InitialEventsAnnotationKey: end}
	}
	return nil
}

// DeepCopyObject implements runtime.Object. Value is shared, because it is never changed.
func (o *Object[V]) DeepCopyObject() runtime.Object {
	c := *o
	c.ObjectMeta = *o.DeepCopy()
	return &c
}

// objectList is a list of objects.
type objectList struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []runtime.Object
}

// DeepCopyObject implements runtime.Object.
func (l *objectList) DeepCopyObject() runtime.Object {
	c := *l
	c.Items = make([]runtime.Object, 0, len(l.Items))
	for _, o := range l.Items {
		c.Items = append(c.Items, o.DeepCopyObject())
	}
	return &c
}
