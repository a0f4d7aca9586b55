package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/testutil/controlplane"
)

// The sysctls that the sample sets. They are read from this network namespace, not from
// the agent's status.
const (
	portRange     = "net.ipv4.ip_local_port_range"
	reservedPorts = "net.ipv4.ip_local_reserved_ports"
	timeWaitReuse = "net.ipv4.tcp_tw_reuse"
)

// sample is the file of a NodeTuning for nodes like this one.
const (
	sample     = "config/samples/api-gateways.yaml"
	sampleName = "api-gateways"
)

// tunedLoadTime is the time for which the load continues with more ports.
const tunedLoadTime = 5 * time.Second

// applyTuning applies the sample, waits until there is headroom again, and deletes it.
func (d *demo) applyTuning(ctx context.Context, seen *levelHistory, load *controlplane.Process) error {
	originals, err := readSysctls()
	if err != nil {
		return err
	}
	d.printStep("the sysctls of the node:\n%s", formatSysctls(originals))
	text, err := os.ReadFile(sample)
	if err != nil {
		return err
	}
	d.printStep("kubectl apply -f %s\n%s", sample, stripComments(string(text)))
	if _, err := d.cluster.RunKubectl(ctx, "apply", "-f", sample); err != nil {
		return err
	}
	d.frameLines = 0
	if err := d.showUntil(ctx, seen, "the level Normal with all settings applied", func(p *v1alpha1.PortPressure) bool {
		return p.Status.Level == v1alpha1.LevelNormal && hasAllApplied(p)
	}); err != nil {
		return err
	}
	tuned, err := readSysctls()
	if err != nil {
		return err
	}
	d.printStep("the sysctls of the node:\n%s", formatSysctls(tuned))
	// It is Ready only after it has been observed for minutes.
	if _, err := d.cluster.RunKubectl(ctx, "wait", "--for=jsonpath={.status.counts.applied}=1", "--timeout=30s", "nodetuning", sampleName); err != nil {
		return err
	}
	if err := errors.Join(d.printKubectl(ctx, "get", "nodetunings"), sleepContext(ctx, tunedLoadTime), d.stopLoad(load)); err != nil {
		return err
	}
	return d.deleteTuning(ctx, originals)
}

// deleteTuning deletes the NodeTuning, and compares the sysctls with the originals.
func (d *demo) deleteTuning(ctx context.Context, originals map[string]string) error {
	if err := d.printKubectl(ctx, "delete", "nodetuning", sampleName, "--wait=false"); err != nil {
		return err
	}
	err := d.awaitCondition(ctx, "deletion of the NodeTuning", stepTimeout, func() (bool, error) {
		err := d.cluster.Client.Get(ctx, client.ObjectKey{Name: sampleName}, &v1alpha1.NodeTuning{})
		return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
	})
	if err != nil {
		return err
	}
	now, err := readSysctls()
	if err != nil {
		return err
	}
	d.printStep("the NodeTuning is deleted; the sysctls of the node:\n%s", formatSysctls(now))
	if !maps.Equal(originals, now) {
		return fmt.Errorf("these are not the originals:\n%s", formatSysctls(originals))
	}
	return nil
}

// hasAllApplied reports whether all settings of the node are applied.
func hasAllApplied(p *v1alpha1.PortPressure) bool {
	return len(p.Spec.Settings) > 0 && len(p.Status.Settings) >= len(p.Spec.Settings) &&
		!slices.ContainsFunc(p.Status.Settings, func(s v1alpha1.SettingStatus) bool { return s.State != v1alpha1.SettingApplied })
}

// printKubectl runs kubectl, and prints its output.
func (d *demo) printKubectl(ctx context.Context, args ...string) error {
	out, err := d.cluster.RunKubectl(ctx, args...)
	if err == nil {
		d.printStep("kubectl %s\n%s", strings.Join(args, " "), bytes.TrimRight(out, "\n"))
	}
	return err
}

// stripComments returns the lines that are not comments, indented.
func stripComments(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	lines = slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, "#") })
	return "       " + strings.Join(lines, "\n       ")
}

func readSysctls() (map[string]string, error) {
	values := map[string]string{}
	for _, key := range []string{portRange, reservedPorts, timeWaitReuse} {
		text, err := os.ReadFile(sysctlPath(key))
		if err != nil {
			return nil, err
		}
		values[key] = cmp.Or(strings.Join(strings.Fields(string(text)), " "), "none")
	}
	return values, nil
}

func writeSysctl(key, value string) error { return os.WriteFile(sysctlPath(key), []byte(value), 0) }

func sysctlPath(key string) string { return "/proc/sys/" + strings.ReplaceAll(key, ".", "/") }

func formatSysctls(values map[string]string) string {
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(values)) {
		lines = append(lines, fmt.Sprintf("       %-33s %s", key, values[key]))
	}
	return strings.Join(lines, "\n")
}
