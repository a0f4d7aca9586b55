package settings_test

import (
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
)

func TestASettingWrittenToASpecIsReadFromIt(t *testing.T) {
	for _, s := range settings.All() {
		t.Run(s.Key, func(t *testing.T) {
			for _, value := range exampleValues(s.Value) {
				var spec v1alpha1.NodeTuningSpec
				if err := s.SetField(&spec, value); err != nil {
					t.Fatalf("%q: %v", value, err)
				}
				if diff := cmp.Diff(map[string]string{s.Key: value}, settings.ReadSpec(s.OS, &spec)); diff != "" {
					t.Errorf("%q (-want +got):\n%s", value, diff)
				}
			}
		})
	}
}

func exampleValues(v settings.Value) []string {
	switch v := v.(type) {
	case settings.Integer:
		return []string{strconv.FormatInt(v.Min, 10), strconv.FormatInt(v.Max, 10)}
	case settings.Choice:
		return []string{v[0].Value, v[1].Value}
	case settings.Span:
		return []string{"1024 65535", "32768 60999"}
	case settings.Block:
		return []string{"1025 64511", "49152 16384"}
	}
	return []string{"8080,30000-32767", ""}
}
