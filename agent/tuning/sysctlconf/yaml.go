package sysctlconf

import (
	"errors"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
)

// parseYAML returns the sysctls in YAML or JSON, wherever they are: securityContext.sysctls
// and commands of pods, sysctls of Compose services, of Talos and of AKS nodes, and sysctl
// files and scripts in ConfigMaps. isYAML reports whether the text is YAML or JSON.
func parseYAML(file, text string) (lines []Line, isYAML bool) {
	d := yaml.NewDecoder(strings.NewReader(text))
	for {
		var document yaml.Node
		if err := d.Decode(&document); err != nil {
			return lines, isYAML && errors.Is(err, io.EOF)
		}
		if len(document.Content) == 1 && document.Content[0].Kind != yaml.ScalarNode {
			isYAML = true
			w := yamlWalker{file: file}
			w.walk(document.Content[0], place{})
			lines = append(lines, w.lines...)
		}
	}
}

// yamlWalker collects the lines of a document.
type yamlWalker struct {
	file  string
	lines []Line
}

// place describes the part of a document that is being walked.
type place struct {
	// meta is the nearest metadata, which a pod inherits from its workload.
	meta Scope
	// scope is the network of the pod that the part belongs to.
	scope Scope
	// isList means that the part is a list of sysctls by its name.
	isList bool
	// isContainer means that the part belongs to a container without a pod.
	isContainer bool
}

func (w *yamlWalker) walk(n *yaml.Node, at place) {
	switch n.Kind {
	case yaml.MappingNode:
		w.walkMapping(n, at)
	case yaml.SequenceNode:
		for _, item := range n.Content {
			w.walk(item, at)
		}
	case yaml.ScalarNode:
		w.parseScalar(n, at)
	}
}

func (w *yamlWalker) walkMapping(n *yaml.Node, at place) {
	fields := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		fields[n.Content[i].Value] = n.Content[i+1]
	}
	at = at.enterMapping(fields)
	if name, value := fields["name"], fields["value"]; isScalar(name) && isScalar(value) && isSysctlName(normalizeKey(name.Value)) {
		w.addLine(name, name.Value, value.Value, at)
		return
	}
	if command := listCommand(fields); len(command) > 0 && path.Base(command[0].Value) == "sysctl" {
		w.addCommand(command, at)
		delete(fields, "command")
		delete(fields, "args")
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		name := resolveName(key.Value, at)
		switch {
		case fields[key.Value] == nil:
		case isScalar(value) && isSysctlName(name):
			w.addLine(key, name, value.Value, at)
		default:
			inner := at
			inner.isList = key.Value == "sysctls" || key.Value == "sysctlParameters"
			w.walk(value, inner)
		}
	}
}

// enterMapping returns the place of the fields of a mapping.
func (at place) enterMapping(fields map[string]*yaml.Node) place {
	if m := fields["metadata"]; m != nil && m.Kind == yaml.MappingNode {
		at.meta = at.meta.readMetadata(m)
	}
	if c := fields["containers"]; c != nil && c.Kind == yaml.SequenceNode {
		at.scope, at.isContainer = at.meta, false
		at.scope.IsPod = true
		if host := fields["hostNetwork"]; host != nil && host.Value == "true" {
			at.scope = Scope{}
		}
	} else if fields["image"] != nil && !at.scope.IsPod {
		at.isContainer = true
	}
	return at
}

// readMetadata returns the pods that metadata selects. What it lacks is inherited.
func (s Scope) readMetadata(metadata *yaml.Node) Scope {
	var m struct {
		Name, Namespace string
		Labels          map[string]string
	}
	if metadata.Decode(&m) != nil {
		return s
	}
	if m.Name != "" {
		s.Name = m.Name
	}
	if m.Namespace != "" {
		s.Namespace = m.Namespace
	}
	var labels []string
	if selector := v1alpha1.NewPodScope("", m.Labels).PodSelector; selector != nil {
		for _, key := range slices.Sorted(maps.Keys(selector.MatchLabels)) {
			labels = append(labels, key+"="+selector.MatchLabels[key])
		}
	}
	s.Labels = strings.Join(labels, ",")
	return s
}

// resolveName returns the name of a sysctl in a key. AKS writes names without separators,
// as in netIpv4IpLocalPortRange.
func resolveName(key string, at place) string {
	if !at.isList || strings.ContainsAny(key, "./") {
		return normalizeKey(key)
	}
	for _, s := range settings.All() {
		if s.OS == settings.Linux && strings.EqualFold(strings.NewReplacer(".", "", "_", "").Replace(s.Key), key) {
			return s.Key
		}
	}
	return key
}

func isScalar(n *yaml.Node) bool { return n != nil && n.Kind == yaml.ScalarNode }

// listCommand returns the words of a container's command and arguments.
func listCommand(fields map[string]*yaml.Node) (words []*yaml.Node) {
	for _, name := range []string{"command", "args"} {
		if n := fields[name]; n != nil && n.Kind == yaml.SequenceNode {
			words = append(words, n.Content...)
		}
	}
	return words
}

// addCommand adds the lines of a container that runs sysctl without a shell.
func (w *yamlWalker) addCommand(words []*yaml.Node, at place) {
	for _, word := range words[1:] {
		if key, value, isSet := strings.Cut(word.Value, "="); isSet && !strings.HasPrefix(key, "-") {
			w.addLine(word, key, value, at)
		}
	}
}

// parseScalar parses a script, a sysctl file, or one line of one.
func (w *yamlWalker) parseScalar(n *yaml.Node, at place) {
	first := n.Line
	if n.Style == yaml.LiteralStyle || n.Style == yaml.FoldedStyle {
		first++
	}
	p := textParser{file: w.file, scope: at.scope, isScript: true}
	p.parseText(n.Value, first)
	for _, l := range p.lines {
		l.Note = at.describe(l.Note)
		w.lines = append(w.lines, l)
	}
}

func (w *yamlWalker) addLine(n *yaml.Node, key, value string, at place) {
	value, _ = trimQuotes(strings.TrimSpace(value))
	if text, ok := map[string]string{"true": "1", "false": "0"}[value]; ok {
		value = text
	}
	w.lines = append(w.lines, Line{File: w.file, Number: n.Line, Key: normalizeKey(key), Value: value, Scope: at.scope, Note: at.describe("")})
}

// describe returns the note of a line at this place.
func (at place) describe(note string) string {
	if at.isContainer && note == "" {
		return "it was set for one container only, and is now set on the nodes; add spec.pods to set it in pods, too"
	}
	return note
}
