package settings_test

import (
	"regexp"
	"strings"
	"testing"

	"portreeve.io/portreeve/internal/settings"
)

func TestEverySettingIsComplete(t *testing.T) {
	keys, fields := map[string]bool{}, map[string]bool{}
	sysctl := regexp.MustCompile(`^net(\.[a-z][a-z0-9_]*)+$`)
	for _, s := range settings.All() {
		t.Run(s.Key, func(t *testing.T) {
			if id := string(s.OS) + s.Key; keys[id] {
				t.Error("it is there twice")
			} else {
				keys[id] = true
			}
			if s.Field != "" && fields[s.Field] {
				t.Errorf("field %s has two keys", s.Field)
			}
			fields[s.Field] = true
			if s.Field != "" && !strings.HasPrefix(s.Field, string(s.OS)+".") {
				t.Errorf("field %s is not one of %s", s.Field, s.OS)
			}
			if s.OS == settings.Linux && !sysctl.MatchString(s.Key) {
				t.Error("not a sysctl below net: the agent writes nothing else")
			}
			if s.Description == "" || s.Source == "" || !strings.HasSuffix(s.Description, ".") || s.Caution != "" && !strings.HasSuffix(s.Caution, ".") {
				t.Errorf("what it does, where that is from, each a sentence: %q, %q, %q", s.Description, s.Caution, s.Source)
			}
			if s.Default != "" {
				if err := s.CheckValue(s.Default); err != nil {
					t.Errorf("its default is refused: %v", err)
				}
			}
			if settings.CheckKey(s.OS, s.Key) != nil {
				t.Error("the catalogue has it, and CheckKey refuses it")
			}
		})
	}
}
