package main

import (
	"encoding/json"
	"testing"
	"time"

	"portreeve.io/portreeve/api/v1alpha1"
)

// The load is only realistic if the statuses are as large as real ones: about 4 kB under
// pressure, never above 6 kB.
func TestStatusesHaveTheSizeAndLevelOfRealOnes(t *testing.T) {
	tests := map[string]struct {
		percent     int32
		level       v1alpha1.Level
		least, most int
	}{
		"normal":   {20, v1alpha1.LevelNormal, 1000, 2000},
		"warning":  {50, v1alpha1.LevelWarning, 4000, 6000},
		"critical": {85, v1alpha1.LevelCritical, 4000, 6000},
		"no port":  {100, v1alpha1.LevelCritical, 4000, 6000},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newStatus("hollow-0000", tt.percent, time.Now())
			text, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			if s.Level != tt.level || len(text) < tt.least || len(text) > tt.most {
				t.Errorf("level %s, %d bytes; want %s, %d to %d", s.Level, len(text), tt.level, tt.least, tt.most)
			}
		})
	}
}
