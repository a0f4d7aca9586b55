package sockdiag

import (
	"errors"
	"fmt"
	"time"

	"portreeve.io/portreeve/agent/readers/kernelstat"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/ports"
)

// Indexes of a namespace's settings below net.ipv4.
const (
	fileRange = iota
	fileReserved
	fileReuse
	fileReuseDelay
	fileTimestamps
	fileFinTimeout
	fileMaxTimeWait
	settingFiles
)

var settingNames = [settingFiles]string{
	"ip_local_port_range", "ip_local_reserved_ports", "tcp_tw_reuse", "tcp_tw_reuse_delay",
	"tcp_timestamps", "tcp_fin_timeout", "tcp_max_tw_buckets",
}

// errMalformedRange means that a range of ports is not in the kernel's format.
var errMalformedRange = errors.New("malformed range of ports")

// defaultReuseDelay is the delay of kernels without tcp_tw_reuse_delay (before 6.14).
const defaultReuseDelay = time.Second

// parseSettings parses the files' contents, all settings except Reserved. The file of
// tcp_tw_reuse_delay is nil if the kernel has none.
func parseSettings(files *[settingFiles][]byte) (socket.Settings, error) {
	var n [settingFiles]uint64
	for i, name := range settingNames {
		if i == fileRange || i == fileReserved || i == fileReuseDelay && files[i] == nil {
			continue
		}
		v, err := kernelstat.ParseNumbers(files[i], 1)
		if err != nil {
			return socket.Settings{}, fmt.Errorf("%s: %w", name, err)
		}
		n[i] = v[0]
	}
	ends, err := kernelstat.ParseNumbers(files[fileRange], 2)
	if err != nil || ends[0] > ends[1] || ends[1] > 65535 {
		return socket.Settings{}, fmt.Errorf("%s: %w: %.40q", settingNames[fileRange], errMalformedRange, files[fileRange])
	}
	if n[fileReuse] > uint64(socket.ReuseLoopback) {
		return socket.Settings{}, fmt.Errorf("%s: unknown value %d", settingNames[fileReuse], n[fileReuse])
	}
	delay := defaultReuseDelay
	if files[fileReuseDelay] != nil {
		delay = time.Duration(min(n[fileReuseDelay], 1<<31)) * time.Millisecond
	}
	return socket.Settings{
		Range:       ports.Range{First: uint16(ends[0]), Last: uint16(ends[1])},
		Reuse:       socket.Reuse(n[fileReuse]),
		ReuseDelay:  delay,
		Timestamps:  n[fileTimestamps] != 0,
		FinTimeout:  time.Duration(min(n[fileFinTimeout], 1<<31)) * time.Second,
		MaxTimeWait: int(min(n[fileMaxTimeWait], 1<<31-1)),
	}, nil
}
