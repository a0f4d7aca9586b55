package netlink

import (
	"bytes"
	"errors"
	"testing"
)

func TestNextAttribute(t *testing.T) {
	whole := AppendAttribute(nil, 3, []byte{1, 2, 3, 4})
	flagged := AppendAttribute(nil, 3|attributeNestedFlag, []byte{1, 2, 3, 4})
	odd := append(AppendAttribute(nil, 5, []byte{9}), 0, 0, 0)
	for name, test := range map[string]struct {
		b     []byte
		kind  uint16
		value []byte
		rest  int
		err   error
	}{
		"an attribute and the next":            {joinBytes(whole, odd), 3, []byte{1, 2, 3, 4}, len(odd), nil},
		"a nested attribute":                   {flagged, 3, []byte{1, 2, 3, 4}, 0, nil},
		"an attribute with padding":            {joinBytes(odd, whole), 5, []byte{9}, len(whole), nil},
		"a last attribute without its padding": {odd[:5], 5, []byte{9}, 0, nil},
		"an attribute without a value":         {[]byte{4, 0, 7, 0}, 7, nil, 0, nil},
		"a header cut short":                   {whole[:3], 0, nil, 0, ErrShort},
		"a value cut short":                    {whole[:7], 0, nil, 0, ErrShort},
		"a length below the header's":          {[]byte{3, 0, 7, 0}, 0, nil, 0, ErrLength},
		"a length of zero, which never ends":   {[]byte{0, 0, 7, 0}, 0, nil, 0, ErrLength},
	} {
		t.Run(name, func(t *testing.T) {
			kind, value, rest, err := NextAttribute(test.b)
			if kind != test.kind || !bytes.Equal(value, test.value) || len(rest) != test.rest || !errors.Is(err, test.err) {
				t.Errorf("%d % x, %d left, %v, want %d % x, %d left, %v",
					kind, value, len(rest), err, test.kind, test.value, test.rest, test.err)
			}
		})
	}
}
