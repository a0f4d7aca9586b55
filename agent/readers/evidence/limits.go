package evidence

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
)

var errNoLimit = errors.New("no line \"Max open files\"")

// parseFileLimit returns the soft limit of open files of /proc/PID/limits, 0 if there is none
// ("unlimited").
func parseFileLimit(file []byte) (int, error) {
	for line := range bytes.Lines(file) {
		rest, ok := bytes.CutPrefix(line, []byte("Max open files"))
		if !ok {
			continue
		}
		fields := bytes.Fields(rest)
		if len(fields) == 0 {
			break
		}
		if string(fields[0]) == "unlimited" {
			return 0, nil
		}
		n, err := strconv.ParseUint(string(fields[0]), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("open files %.40q: %w", fields[0], err)
		}
		return int(min(n, math.MaxInt)), nil
	}
	return 0, errNoLimit
}

// parseSocketLink returns the inode in "socket:[123]", the target of a link in /proc/PID/fd.
func parseSocketLink(target string) (inode uint32, ok bool) {
	const prefix = "socket:["
	if len(target) <= len(prefix)+1 || target[:len(prefix)] != prefix || target[len(target)-1] != ']' {
		return 0, false
	}
	n, err := strconv.ParseUint(target[len(prefix):len(target)-1], 10, 32)
	return uint32(n), err == nil
}
