package netns

import (
	"bytes"
	"errors"
	"strconv"
)

// errMalformedStat is a /proc/PID/stat that is not what the kernel writes.
var errMalformedStat = errors.New("malformed stat")

// parseStat takes comm and start time (clock ticks since boot, field 22) from
// /proc/PID/stat (proc_pid_stat(5)). comm is in parentheses and may itself hold
// any byte, parentheses and line ends included: the last one closes it.
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
