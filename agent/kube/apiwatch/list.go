package apiwatch

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// Resource is a kind of object of the core group.
type Resource struct {
	// Name is the plural, such as "pods"; Kind is "Pod".
	Name, Kind string
	// FieldSelector selects objects; "" selects all.
	FieldSelector string
	// MetadataOnly is set if Value needs only the metadata: the server sends nothing else.
	MetadataOnly bool
}

// NewListWatch returns a lister and watcher of the resource's objects, each an *Object[V].
func NewListWatch[V any](config *rest.Config, r Resource) (*cache.ListWatch, error) {
	client, err := newClient(config, r, &Object[V]{})
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", r.Name, err)
	}
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return listPages[V](ctx, client, r, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.Watch = true
			return newRequest(client, r, "PartialObjectMetadata", o).Watch(ctx)
		},
	}, nil
}

// newRequest returns a request for the resource, as objects of the kind partial if only
// metadata is needed.
func newRequest(client rest.Interface, r Resource, partial string, o metav1.ListOptions) *rest.Request {
	o.FieldSelector = r.FieldSelector
	request := client.Get().Resource(r.Name).VersionedParams(&o, metav1.ParameterCodec)
	if r.MetadataOnly {
		request.SetHeader("Accept", "application/json;as="+partial+";g=meta.k8s.io;v=v1")
	}
	return request
}

func newClient(config *rest.Config, r Resource, object runtime.Object) (rest.Interface, error) {
	v1 := schema.GroupVersion{Version: "v1"}
	scheme := runtime.NewScheme()
	c := rest.CopyConfig(config)
	c.APIPath, c.GroupVersion, c.ContentType = "/api", &v1, runtime.ContentTypeJSON
	if r.MetadataOnly {
		scheme.AddKnownTypeWithName(schema.GroupVersionKind{Group: "meta.k8s.io", Version: "v1", Kind: "PartialObjectMetadata"}, object)
	} else {
		scheme.AddKnownTypeWithName(v1.WithKind(r.Kind), object)
	}
	metav1.AddToGroupVersion(scheme, v1)
	c.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	return rest.RESTClientFor(c)
}

// pageSize is the number of objects in a page. Each has up to 1.5 MB, of which the API
// server keeps a page in memory.
const pageSize = 20

// listPages lists all objects, page by page. It ignores the requested resource version,
// because the server's cache does not serve its oldest allowed state in pages.
func listPages[V any](ctx context.Context, client rest.Interface, r Resource, o metav1.ListOptions) (runtime.Object, error) {
	o.Limit, o.ResourceVersion, o.ResourceVersionMatch = pageSize, "", ""
	all := &objectList{}
	for {
		body, err := newRequest(client, r, "PartialObjectMetadataList", o).Stream(ctx)
		if err != nil {
			return nil, err
		}
		err = readPage[V](body, all)
		body.Close()
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", r.Name, err)
		}
		if o.Continue = all.Continue; o.Continue == "" {
			return all, nil
		}
	}
}

// readPage adds the objects of a list to all, and sets its metadata. Only one object is in
// memory at a time.
func readPage[V any](r io.Reader, all *objectList) error {
	d := json.NewDecoder(r)
	if err := readDelim(d, '{'); err != nil {
		return err
	}
	all.ListMeta = metav1.ListMeta{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		switch key {
		case "metadata":
			err = d.Decode(&all.ListMeta)
		case "items":
			err = readItems[V](d, all)
		default:
			err = d.Decode(&json.RawMessage{})
		}
		if err != nil {
			return err
		}
	}
	return readDelim(d, '}')
}

func readItems[V any](d *json.Decoder, all *objectList) error {
	start, err := d.Token()
	if err != nil || start == nil { // null is an empty list
		return err
	}
	for d.More() {
		o := &Object[V]{}
		if err := d.Decode(o); err != nil {
			return err
		}
		all.Items = append(all.Items, o)
	}
	return readDelim(d, ']')
}

func readDelim(d *json.Decoder, want json.Delim) error {
	got, err := d.Token()
	if err == nil && got != want {
		err = fmt.Errorf("invalid list: %v instead of %v", got, want)
	}
	return err
}
