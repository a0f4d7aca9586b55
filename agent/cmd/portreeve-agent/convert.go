package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"

	"portreeve.io/portreeve/agent/tuning/sysctlconf"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
)

// converter is the command that converts sysctl files, scripts and manifests to
// NodeTunings.
type converter struct {
	*app
	name  objectNameFlag
	nodes labelSelectorFlag
}

const convertHelp = `Print a NodeTuning with the sysctls in files. It reads sysctl files (/etc/sysctl.conf and
those of sysctl.d), shell scripts (sysctl -w, writes to /proc/sys) and manifests: the
securityContext and the commands of pods and workloads, ConfigMaps, Compose files and
configurations of Talos and AKS nodes. List the files in the order in which they are
applied: the last line of a key counts.

Sysctls of pods become a NodeTuning of their own, with spec.pods. Keys that Portreeve does
not support are dropped, with the reason on standard error, which also has the warnings
that kubectl apply would print. Remove the converted lines from where they are set today,
or two programs set the same keys.`

const convertExample = `  portreeve-agent convert /etc/sysctl.d/*.conf /etc/sysctl.conf >tuning.yaml
  kubectl get deployment web -o yaml | portreeve-agent convert --name web -
  ssh node-7 cat /etc/sysctl.conf | portreeve-agent convert --name gateways --nodes pool=gateways - | kubectl apply -f -`

func (a *app) newConvertCommand() *cobra.Command {
	v := &converter{app: a, name: "sysctl-conf", nodes: "kubernetes.io/os=linux"}
	c := &cobra.Command{
		Use:     "convert FILE...",
		Short:   "Print a NodeTuning with the sysctls of files, scripts and manifests",
		Long:    convertHelp,
		Example: convertExample,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return newUsageErrorf("convert needs a file, or - for standard input")
			}
			return nil
		},
		RunE: func(c *cobra.Command, files []string) error { return v.convertFiles(c.Context(), files) },
	}
	f := c.Flags()
	f.SortFlags = false
	f.Var(&v.name, "name", "name of the NodeTuning")
	f.Var(&v.nodes, "nodes", "label selector of the nodes")
	return c
}

func (v *converter) convertFiles(ctx context.Context, files []string) error {
	var lines []sysctlconf.Line
	for _, file := range files {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		text, err := v.readInput(file)
		if err != nil {
			return fmt.Errorf("%s: %w", formatFileName(file), err)
		}
		lines = append(lines, sysctlconf.ParseFile(formatFileName(file), text)...)
	}
	result, err := sysctlconf.ConvertLines(lines)
	if err != nil {
		return err
	}
	for _, message := range result.Messages {
		fmt.Fprintln(v.stderr, message)
	}
	if result.Kept == 0 {
		return fmt.Errorf("no supported setting in %d lines: see docs/reference/settings.md", len(lines))
	}
	for i, t := range result.Tunings {
		name := v.chooseName(result.Tunings, t.Scope)
		if i > 0 {
			fmt.Fprintln(v.stdout, "---")
		}
		if err := v.printNodeTuning(name, t.Spec); err != nil {
			return err
		}
	}
	return nil
}

// chooseName returns the name of the NodeTuning of a scope. If there are several, those of
// pods have the name of their workload added.
func (v *converter) chooseName(all []sysctlconf.Tuning, s sysctlconf.Scope) string {
	if len(all) == 1 || !s.IsPod {
		return string(v.name)
	}
	number := 0
	for _, t := range all {
		if t.Scope == s {
			break
		}
		if t.Scope.IsPod && t.Scope.Name == s.Name {
			number++
		}
	}
	name := string(v.name) + "-" + cmp.Or(s.Name, "pods")
	if number > 0 {
		name += fmt.Sprintf("-%d", number+1)
	}
	return name
}

// maxInputSize is larger than any sysctl file, and than any object of Kubernetes.
const maxInputSize = 1 << 20

func (v *converter) readInput(file string) ([]byte, error) {
	in, _, err := v.openInput(file)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	text, err := io.ReadAll(io.LimitReader(in, maxInputSize+1))
	if err == nil && len(text) > maxInputSize {
		err = errors.New("larger than 1 MiB: neither a sysctl file nor a manifest")
	}
	return text, err
}

// printNodeTuning prints a NodeTuning, and warns about it.
func (v *converter) printNodeTuning(name string, spec v1alpha1.NodeTuningSpec) error {
	selected, err := metav1.ParseToLabelSelector(string(v.nodes))
	if err != nil {
		return err // checked when the flag was set
	}
	spec.NodeSelector = selected
	warnings := settings.ReviewSpec(&spec)
	if spec.Pods != nil {
		warnings = append(warnings, "spec.pods: the settings also apply to the nodes' own network; "+
			"pods that set a sysctl themselves keep their value, so remove it there")
	}
	for _, warning := range warnings {
		fmt.Fprintf(v.stderr, "warning: %s: %s\n", name, warning)
	}
	object := v1alpha1.NodeTuning{Spec: spec}
	object.APIVersion, object.Kind = v1alpha1.GroupVersion.String(), "NodeTuning"
	object.Name = name
	text, err := yaml.Marshal(object)
	if err != nil {
		return err
	}
	_, err = v.stdout.Write(text)
	return err
}

// objectNameFlag is the name of an object.
type objectNameFlag string

func (n *objectNameFlag) String() string { return string(*n) }
func (n *objectNameFlag) Type() string   { return "NAME" }
func (n *objectNameFlag) describeAllowed() string {
	return "lower-case letters, digits, - and ., such as api-gateways"
}

func (n *objectNameFlag) Set(s string) error {
	if len(validation.IsDNS1123Subdomain(s)) > 0 {
		return errNotAllowed
	}
	*n = objectNameFlag(s)
	return nil
}

// labelSelectorFlag is a label selector in kubectl's syntax.
type labelSelectorFlag string

func (l *labelSelectorFlag) String() string { return string(*l) }
func (l *labelSelectorFlag) Type() string   { return "SELECTOR" }
func (l *labelSelectorFlag) describeAllowed() string {
	return "labels, such as pool=gateways,kubernetes.io/os=linux"
}

func (l *labelSelectorFlag) Set(s string) error {
	if _, err := metav1.ParseToLabelSelector(s); err != nil || s == "" {
		return errNotAllowed
	}
	*l = labelSelectorFlag(s)
	return nil
}
