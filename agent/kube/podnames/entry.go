package podnames

import (
	"path"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// pod is a pod's name.
type pod struct{ namespace, name string }

// valid says whether the API server would have taken the names: a namespace is
// an RFC 1123 label, a pod's name an RFC 1123 subdomain. So neither can hold an
// underscore, or anything that a terminal or a log obeys.
func (p pod) valid() bool {
	return len(validation.IsDNS1123Label(p.namespace)) == 0 && len(validation.IsDNS1123Subdomain(p.name)) == 0
}

// maxEntry is the longest entry that can be a pod's.
const maxEntry = 63 + 1 + 253 + 1 + uuidLength

// parseEntry reads the name of a pod's log directory, <namespace>_<name>_<uid>
// (BuildPodLogsDirectory, pkg/kubelet/kuberuntime/helpers.go). Entries that the
// kubelet can't have made are refused.
func parseEntry(entry string) (uid string, p pod, ok bool) {
	if len(entry) > maxEntry {
		return "", pod{}, false
	}
	parts := strings.Split(entry, "_")
	if len(parts) != 3 || !isUID(parts[2]) {
		return "", pod{}, false
	}
	p = pod{parts[0], parts[1]}
	if !p.valid() {
		return "", pod{}, false
	}
	return parts[2], p, true
}

// maxLink is the longest target that a link of Linux can have: PATH_MAX without
// its NUL.
const maxLink = 4095

// parseLink reads the target of a link to a container's log,
// <podLogsDir>/<namespace>_<name>_<uid>/<container>/<restarts>.log (startContainer
// and buildContainerLogsPath, pkg/kubelet/kuberuntime). podLogsDir may be anything
// that the kubelet takes: absolute, clean, ASCII. The target is never followed.
func parseLink(target string) (uid string, p pod, ok bool) {
	if len(target) > maxLink || !path.IsAbs(target) || path.Clean(target) != target || strings.ContainsFunc(target, unprintable) {
		return "", pod{}, false
	}
	parts := strings.Split(target, "/")
	if len(parts) < 4 {
		return "", pod{}, false
	}
	parts = parts[len(parts)-3:]
	if len(validation.IsDNS1123Label(parts[1])) > 0 || !isLog(parts[2]) {
		return "", pod{}, false
	}
	return parseEntry(parts[0])
}

func unprintable(r rune) bool { return r < ' ' || r > '~' }

// isLog knows the name of a container's log: how often it was restarted.
func isLog(s string) bool {
	restarts, ok := strings.CutSuffix(s, ".log")
	return ok && restarts != "" && strings.Trim(restarts, "0123456789") == ""
}

const (
	uuidLength = 36
	hashLength = 32
)

// isUID knows what a cgroup's name can have: a UUID, or a static pod's hash.
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

// isHash knows the UID that the kubelet gives to a static pod without one: 128
// bits of FNV over its manifest, in hex (pkg/kubelet/config/common.go).
func isHash(s string) bool {
	return len(s) == hashLength && strings.Trim(s, "0123456789abcdef") == ""
}
