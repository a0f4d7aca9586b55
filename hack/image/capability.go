package main

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// capabilities lists the capabilities in the order of their numbers (linux/capability.h).
var capabilities = strings.Fields(`
	cap_chown cap_dac_override cap_dac_read_search cap_fowner cap_fsetid cap_kill
	cap_setgid cap_setuid cap_setpcap cap_linux_immutable cap_net_bind_service
	cap_net_broadcast cap_net_admin cap_net_raw cap_ipc_lock cap_ipc_owner
	cap_sys_module cap_sys_rawio cap_sys_chroot cap_sys_ptrace cap_sys_pacct
	cap_sys_admin cap_sys_boot cap_sys_nice cap_sys_resource cap_sys_time
	cap_sys_tty_config cap_mknod cap_lease cap_audit_write cap_audit_control
	cap_setfcap cap_mac_override cap_mac_admin cap_syslog cap_wake_alarm
	cap_block_suspend cap_audit_read cap_perfmon cap_bpf cap_checkpoint_restore`)

// encodeFileCapability encodes text such as "cap_bpf,cap_perfmon=p" as the value of
// security.capability: struct vfs_cap_data, revision 2, 20 bytes, little endian
// (linux/capability.h). The flags are e, i and p, as in cap_from_text(3).
func encodeFileCapability(text string) ([]byte, error) {
	names, flags, ok := strings.Cut(text, "=")
	if !ok || flags == "" || strings.Trim(flags, "eip") != "" {
		return nil, fmt.Errorf("capability %q: want names, =, and flags of e, i, p: cap_bpf,cap_perfmon=p", text)
	}
	var set uint64
	for name := range strings.SplitSeq(names, ",") {
		n := slices.Index(capabilities, name)
		if n < 0 {
			return nil, fmt.Errorf("capability %q: unknown capability %q", text, name)
		}
		set |= 1 << n
	}
	const revision2, effective = 0x02000000, 1
	magic := uint32(revision2)
	var permitted, inheritable uint64
	if strings.Contains(flags, "e") {
		magic |= effective
	}
	if strings.Contains(flags, "p") {
		permitted = set
	}
	if strings.Contains(flags, "i") {
		inheritable = set
	}
	var data []byte
	for _, word := range []uint32{
		magic,
		uint32(permitted), uint32(inheritable),
		uint32(permitted >> 32), uint32(inheritable >> 32),
	} {
		data = binary.LittleEndian.AppendUint32(data, word)
	}
	return data, nil
}
