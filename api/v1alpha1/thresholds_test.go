package v1alpha1

import "testing"

func TestUnsetThresholdsGetDefaults(t *testing.T) {
	tests := map[string]struct{ set, want Thresholds }{
		"none is set":                            {Thresholds{}, Thresholds{50, 85}},
		"both are set":                           {Thresholds{20, 30}, Thresholds{20, 30}},
		"only the warning threshold is set":      {Thresholds{WarningPercent: 40}, Thresholds{40, 85}},
		"a high warning moves the critical one":  {Thresholds{WarningPercent: 90}, Thresholds{90, 90}},
		"only the critical threshold is set":     {Thresholds{CriticalPercent: 70}, Thresholds{50, 70}},
		"a low critical one moves the warning":   {Thresholds{CriticalPercent: 30}, Thresholds{30, 30}},
		"a critical one at the default warning":  {Thresholds{CriticalPercent: 50}, Thresholds{50, 50}},
		"a warning at the default critical one":  {Thresholds{WarningPercent: 85}, Thresholds{85, 85}},
		"the lowest and the highest are allowed": {Thresholds{1, 100}, Thresholds{1, 100}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := test.set.WithDefaults()
			if got != test.want {
				t.Errorf("%+v.WithDefaults() = %+v, want %+v", test.set, got, test.want)
			}
			if again := got.WithDefaults(); again != got {
				t.Errorf("a second WithDefaults() changes %+v to %+v", got, again)
			}
		})
	}
}

func TestUnsetThresholdsGetTheCallersDefaults(t *testing.T) {
	defaults := Thresholds{50, 60}
	tests := map[string]struct{ set, want Thresholds }{
		"none is set":                       {Thresholds{}, defaults},
		"the warning is above the critical": {Thresholds{WarningPercent: 70}, Thresholds{70, 70}},
		"the critical is below the warning": {Thresholds{CriticalPercent: 40}, Thresholds{40, 40}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := test.set.WithDefaultsFrom(defaults); got != test.want {
				t.Errorf("%+v.WithDefaultsFrom(%+v) = %+v, want %+v", test.set, defaults, got, test.want)
			}
		})
	}
}

func TestLevelBeginsAtItsThreshold(t *testing.T) {
	tests := map[string]struct {
		thresholds Thresholds
		percent    int32
		want       Level
	}{
		"0 % is Normal":                        {Thresholds{}, 0, LevelNormal},
		"49 % is Normal":                       {Thresholds{}, 49, LevelNormal},
		"50 % is Warning":                      {Thresholds{}, 50, LevelWarning},
		"84 % is Warning":                      {Thresholds{}, 84, LevelWarning},
		"85 % is Critical":                     {Thresholds{}, 85, LevelCritical},
		"100 % is Critical":                    {Thresholds{}, 100, LevelCritical},
		"a lower warning threshold":            {Thresholds{WarningPercent: 40}, 45, LevelWarning},
		"a higher warning threshold":           {Thresholds{WarningPercent: 90}, 89, LevelNormal},
		"the critical one follows the warning": {Thresholds{WarningPercent: 90}, 90, LevelCritical},
		"equal thresholds leave no Warning":    {Thresholds{50, 50}, 50, LevelCritical},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := test.thresholds.Level(test.percent); got != test.want {
				t.Errorf("%+v.Level(%d) = %s, want %s", test.thresholds, test.percent, got, test.want)
			}
		})
	}
}

func TestLevelsAreOrdered(t *testing.T) {
	order := []Level{"", LevelNormal, LevelWarning, LevelCritical}
	for i, a := range order {
		for j, b := range order {
			if got := a.IsWorseThan(b); got != (i > j) {
				t.Errorf("%q.IsWorseThan(%q) = %t", a, b, got)
			}
		}
	}
	if Level("Newer").IsWorseThan(LevelNormal) {
		t.Error("an unknown level is worse than Normal")
	}
}
