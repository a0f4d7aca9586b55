package podnames

import (
	"path"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// podName is the namespace and the name of a pod.
type podName struct{ namespace, name string }

// isValid reports whether the API server accepts the names: a namespace is an
// RFC 1123 label, a pod's name an RFC 1123 subdomain. Neither can contain an
// underscore or control characters.
func (p podName) isValid() bool {
	return len(validation.IsDNS1123Label(p.namespace)) == 0 && len(validation.IsDNS1123Subdomain(p.name)) == 0
}

// maxEntryLength is the length of the longest name of a pod's log directory.
const maxEntryLength = 63 + 1 + 253 + 1 + uuidLength

// parseEntry parses the name of a pod's log directory, <namespace>_<name>_<uid>
// (BuildPodLogsDirectory, pkg/kubelet/kuberuntime/helpers.go). It rejects
// entries that the kubelet can't have created.
func parseEntry(entry string) (uid string, p podName, ok bool) {
	if len(entry) > maxEntryLength {
		return "", podName{}, false
	}
	parts := strings.Split(entry, "_")
	if len(parts) != 3 || !isUID(parts[2]) {
		return "", podName{}, false
	}
	p = podName{parts[0], parts[1]}
	if !p.isValid() {
		return "", podName{}, false
	}
	return parts[2], p, true
}

// maxTargetLength is the length of the longest target of a symbolic link on Linux:
// PATH_MAX without its NUL.
const maxTargetLength = 4095

// parseLinkTarget parses the target of a link to a container's log,
// <podLogsDir>/<namespace>_<name>_<uid>/<container>/<restarts>.log (startContainer
// and buildContainerLogsPath, pkg/kubelet/kuberuntime). podLogsDir is any path
// that the kubelet accepts: absolute, clean, ASCII. The target is never followed.
func parseLinkTarget(target string) (uid string, p podName, ok bool) {
	if len(target) > maxTargetLength || !path.IsAbs(target) || path.Clean(target) != target ||
		strings.ContainsFunc(target, isUnprintable) {
		return "", podName{}, false
	}
	parts := strings.Split(target, "/")
	if len(parts) < 4 {
		return "", podName{}, false
	}
	parts = parts[len(parts)-3:]
	if len(validation.IsDNS1123Label(parts[1])) > 0 || !isLogName(parts[2]) {
		return "", podName{}, false
	}
	return parseEntry(parts[0])
}

func isUnprintable(r rune) bool { return r < ' ' || r > '~' }

// isLogName reports whether s is the name of a container's log: its restart count with
// the suffix .log.
func isLogName(s string) bool {
	restarts, ok := strings.CutSuffix(s, ".log")
	return ok && restarts != "" && strings.Trim(restarts, "0123456789") == ""
}

const (
	uuidLength = 36
	hashLength = 32
)

// isUID reports whether s is a UID as in a cgroup's name: a UUID, or the hash of a
// static pod.
func isUID(s string) bool {
	if len(s) != uuidLength {
		return isHash(s)
	}
	for _, i := range []int{8, 13, 18, 23} {
		if s[i] != '-' {
			return false
		}
	}
	return isHash(s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:])
}

// isHash reports whether s is a UID that the kubelet assigns to a static pod without one:
// 128 bits of FNV over its manifest, in hex (pkg/kubelet/config/common.go).
func isHash(s string) bool {
	return len(s) == hashLength && strings.Trim(s, "0123456789abcdef") == ""
}
