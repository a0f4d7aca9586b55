package netns

import (
	"bytes"
	"errors"
	"strconv"
)

// errMalformedStat means that a /proc/PID/stat is not in the kernel's format.
var errMalformedStat = errors.New("malformed stat")

// parseStat parses comm and start time (clock ticks since boot, field 22) of
// /proc/PID/stat (proc_pid_stat(5)). comm is in parentheses and may contain any byte,
// including parentheses and newlines, so the last parenthesis in the file closes it.
func parseStat(file []byte) (comm string, start uint64, err error) {
	open, end := bytes.IndexByte(file, '('), bytes.LastIndexByte(file, ')')
	if open < 0 || end < open {
		return "", 0, errMalformedStat
	}
	fields := bytes.Fields(file[end+1:]) // from field 3 on
	if len(fields) < 20 {
		return "", 0, errMalformedStat
	}
	start, err = strconv.ParseUint(string(fields[22-3]), 10, 64)
	if err != nil {
		return "", 0, errMalformedStat
	}
	return string(file[open+1 : end]), start, nil
}
