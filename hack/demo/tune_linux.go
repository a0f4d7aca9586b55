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

// The sysctls that the sample sets, of this network namespace: they are read as
// anybody would, not taken from the agent's word.
const (
	portRange     = "net.ipv4.ip_local_port_range"
	reservedPorts = "net.ipv4.ip_local_reserved_ports"
	timeWaitReuse = "net.ipv4.tcp_tw_reuse"
)

// sample is a NodeTuning of the repository for nodes like this one.
const (
	sample     = "config/samples/api-gateways.yaml"
	sampleName = "api-gateways"
)

// relief is how long the load goes on with more ports.
const relief = 5 * time.Second

// tune applies the sample until there is headroom again, and then deletes it.
func (d *demo) tune(ctx context.Context, seen *levels, load *controlplane.Process) error {
	originals, err := sysctls()
	if err != nil {
		return err
	}
	d.say("the sysctls of the node:\n%s", table(originals))
	text, err := os.ReadFile(sample)
	if err != nil {
		return err
	}
	d.say("kubectl apply -f %s\n%s", sample, withoutComments(string(text)))
	if _, err := d.plane.RunKubectl(ctx, "apply", "-f", sample); err != nil {
		return err
	}
	d.drawn = 0
	if err := d.follow(ctx, seen, "headroom: the level Normal", func(p *v1alpha1.PortPressure) bool {
		return p.Status.Level == v1alpha1.LevelNormal && held(p)
	}); err != nil {
		return err
	}
	tuned, err := sysctls()
	if err != nil {
		return err
	}
	d.say("the sysctls of the node:\n%s", table(tuned))
	if _, err := d.plane.RunKubectl(ctx, "wait", "--for=condition=Ready", "--timeout=30s", "nodetuning", sampleName); err != nil {
		return err
	}
	if err := errors.Join(d.show(ctx, "get", "nodetunings"), pause(ctx, relief), d.unload(load)); err != nil {
		return err
	}
	return d.release(ctx, originals)
}

// release deletes the NodeTuning, and compares what stands with the originals.
func (d *demo) release(ctx context.Context, originals map[string]string) error {
	if err := d.show(ctx, "delete", "nodetuning", sampleName, "--wait=false"); err != nil {
		return err
	}
	err := d.await(ctx, "the end of the NodeTuning", soon, func() (bool, error) {
		err := d.plane.Client.Get(ctx, client.ObjectKey{Name: sampleName}, &v1alpha1.NodeTuning{})
		return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
	})
	if err != nil {
		return err
	}
	now, err := sysctls()
	if err != nil {
		return err
	}
	d.say("it is gone, and the sysctls of the node are:\n%s", table(now))
	if !maps.Equal(originals, now) {
		return fmt.Errorf("these are not the originals:\n%s", table(originals))
	}
	return nil
}

// held says whether the node has all of the sample.
func held(p *v1alpha1.PortPressure) bool {
	return len(p.Spec.Settings) > 0 && len(p.Status.Settings) >= len(p.Spec.Settings) &&
		!slices.ContainsFunc(p.Status.Settings, func(s v1alpha1.SettingStatus) bool { return s.State != v1alpha1.SettingApplied })
}

// show runs kubectl, and prints what it says.
func (d *demo) show(ctx context.Context, args ...string) error {
	out, err := d.plane.RunKubectl(ctx, args...)
	if err == nil {
		d.say("kubectl %s\n%s", strings.Join(args, " "), bytes.TrimRight(out, "\n"))
	}
	return err
}

// withoutComments are the lines that are no comment, indented.
func withoutComments(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	lines = slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, "#") })
	return "       " + strings.Join(lines, "\n       ")
}

func sysctls() (map[string]string, error) {
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

func setSysctl(key, value string) error { return os.WriteFile(sysctlPath(key), []byte(value), 0) }

func sysctlPath(key string) string { return "/proc/sys/" + strings.ReplaceAll(key, ".", "/") }

func table(values map[string]string) string {
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(values)) {
		lines = append(lines, fmt.Sprintf("       %-33s %s", key, values[key]))
	}
	return strings.Join(lines, "\n")
}
