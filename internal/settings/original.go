package settings

import (
	"fmt"
	"strconv"
)

// CheckOriginal returns an error of one line unless value has the form of this setting's
// values, as one that was read from the operating system. It need not be an allowed value of
// a NodeTuning, because an administrator may have set any.
func (s Setting) CheckOriginal(value string) error {
	for _, part := range s.SplitParts(value) {
		if part == Unset && s.OS == Windows {
			continue
		}
		if err := s.checkForm(part); err != nil {
			return fmt.Errorf("%s: %q is not a value of this setting: %w", s.Key, TruncateValue(part), err)
		}
	}
	return nil
}

func (s Setting) checkForm(value string) (err error) {
	switch s.Value.(type) {
	case Integer, Choice:
		_, err = strconv.ParseInt(s.Value.canonicalize(value), 10, 64)
		if err != nil && s.Value.checkValue(value) == nil { // a choice that is no number
			err = nil
		}
	case Span:
		_, err = ParseSpan(value)
	case Block:
		_, err = ParseBlock(value)
	default:
		err = s.Value.checkValue(value)
	}
	return err
}
