package sockdiag

import (
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRequests compares with the structs of include/uapi/linux/inet_diag.h.
func TestRequests(t *testing.T) {
	u16 := func(n uint16) []byte { return binary.NativeEndian.AppendUint16(nil, n) }
	u32 := func(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }
	for name, test := range map[string]struct{ got, want []byte }{
		"struct inet_diag_req": {newTCPRequest(7), joinBytes(
			u32(16+60), u16(18), u16(0x301), u32(7), u32(0), // struct nlmsghdr
			make([]byte, 4+48), // family 0, prefix lengths, extensions; struct inet_diag_sockid
			u32(0x3fff), u32(0),
		)},
		"struct inet_diag_req_v2": {newUDPRequest(familyIPv6, 8), joinBytes(
			u32(16+56), u16(20), u16(0x301), u32(8), u32(0),
			[]byte{10, 17, 0, 0}, u32(0x3fff), make([]byte, 48),
		)},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, test.got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
