package v1alpha1

import (
	"reflect"
	"strings"
	"testing"
)

// TestGoldenHasEveryField ensures that newFullPortPressure sets new fields, so that the
// golden file covers them.
func TestGoldenHasEveryField(t *testing.T) {
	set := map[string]bool{}
	recordSetFields(reflect.ValueOf(*newFullPortPressure()), set)
	if len(set) < 100 {
		t.Fatalf("only %d fields were visited", len(set))
	}
	for name, ok := range set {
		if !ok {
			t.Errorf("newFullPortPressure does not set %s", name)
		}
	}
}

// recordSetFields records for each field of this package's types whether any value sets it.
func recordSetFields(v reflect.Value, set map[string]bool) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			recordSetFields(v.Elem(), set)
		}
	case reflect.Slice:
		for i := range v.Len() {
			recordSetFields(v.Index(i), set)
		}
	case reflect.Struct:
		if !strings.HasSuffix(v.Type().PkgPath(), "/api/v1alpha1") {
			return
		}
		for i := range v.NumField() {
			name := v.Type().Name() + "." + v.Type().Field(i).Name
			set[name] = set[name] || !v.Field(i).IsZero()
			recordSetFields(v.Field(i), set)
		}
	}
}
