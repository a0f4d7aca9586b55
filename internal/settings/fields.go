package settings

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"portreeve.io/portreeve/api/v1alpha1"
)

// SafeFirstPort is the lowest first port that linux.ephemeralPorts accepts without
// allowLowPorts. Many services listen on ports below it.
const SafeFirstPort = 16384

// ReadSpec returns the values that spec sets on nodes with the given operating system,
// by key. linux.sysctls may contain keys that the catalogue does not know.
func ReadSpec(os OS, spec *v1alpha1.NodeTuningSpec) map[string]string {
	values := map[string]string{}
	for _, s := range All() {
		if s.OS != os || s.Field == "" {
			continue
		}
		if value, isSet := s.formatField(findField(spec, s.Field)); isSet {
			values[s.Key] = value
		}
	}
	if os == Linux {
		for key, value := range spec.Linux.Sysctls {
			values[key] = string(value)
		}
	}
	return values
}

// SetField writes value, which Check must have accepted, to the field of spec that the
// catalogue names for s, or to linux.sysctls if s has no field.
func (s Setting) SetField(spec *v1alpha1.NodeTuningSpec, value string) error {
	if s.Field != "" {
		return s.parseField(findField(spec, s.Field).Addr().Interface(), value)
	}
	if spec.Linux.Sysctls == nil {
		spec.Linux.Sysctls = map[string]v1alpha1.SysctlValue{}
	}
	spec.Linux.Sysctls[s.Key] = v1alpha1.SysctlValue(value)
	return nil
}

// findField returns the field of spec at a path of JSON names, such as
// "linux.timeWait.reuse".
func findField(spec *v1alpha1.NodeTuningSpec, path string) reflect.Value {
	v := reflect.ValueOf(spec).Elem()
	for name := range strings.SplitSeq(path, ".") {
		v = findByJSONName(v, name)
	}
	return v
}

func findByJSONName(v reflect.Value, name string) reflect.Value {
	for field, value := range v.Fields() {
		if tag, _, _ := strings.Cut(field.Tag.Get("json"), ","); tag == name {
			return value
		}
	}
	return reflect.Value{}
}

// formatField returns the value of a field in the spelling of the operating system, and
// whether the field is set.
func (s Setting) formatField(v reflect.Value) (value string, isSet bool) {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return "", false
		}
		v = v.Elem()
	}
	switch field := v.Interface().(type) {
	case bool:
		return map[bool]string{false: "0", true: "1"}[field], true
	case string:
		value = s.findOption(func(o Option) bool { return o.Means == field }).Value
		return value, value != ""
	case []string:
		return s.formatPortItems(field), field != nil
	case v1alpha1.EphemeralPorts:
		return fmt.Sprintf("%d %d", field.First, field.Last), true
	case v1alpha1.PortBlock:
		return fmt.Sprintf("%d %d", field.Start, field.Count), true
	case v1alpha1.AutoReusePorts:
		return fmt.Sprintf("%d %d", field.Start, field.Count), true
	default: // int32 or int64
		return fmt.Sprint(field), true
	}
}

// parseField writes value to a field, given a pointer to it.
func (s Setting) parseField(pointer any, value string) error {
	switch field := pointer.(type) {
	case **bool:
		*field = new(value == "1")
	case *string:
		*field = s.findOption(func(o Option) bool { return o.Value == value }).Means
	case *[]string:
		items, err := s.parsePortItems(value)
		*field = items
		return err
	case **v1alpha1.EphemeralPorts:
		r, err := ParseSpan(value)
		*field = &v1alpha1.EphemeralPorts{First: int32(r.First), Last: int32(r.Last), AllowLowPorts: r.First < SafeFirstPort}
		return err
	case **v1alpha1.PortBlock:
		r, err := ParseBlock(value)
		*field = &v1alpha1.PortBlock{Start: int32(r.First), Count: int32(r.Len()), AllowLowPorts: r.First < documentedStart}
		return err
	case **v1alpha1.AutoReusePorts:
		r, err := ParseBlock(value)
		*field = &v1alpha1.AutoReusePorts{Start: int32(r.First), Count: int32(r.Len())}
		return err
	default: // **int32 or **int64
		return json.Unmarshal([]byte(value), pointer)
	}
	return nil
}

// findOption returns the option of a Choice that matches, a zero Option if none does.
func (s Setting) findOption(matches func(Option) bool) Option {
	options, _ := s.Value.(Choice)
	for _, o := range options {
		if matches(o) {
			return o
		}
	}
	return Option{}
}
