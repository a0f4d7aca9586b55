package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"portreeve.io/portreeve/agent/tuning"
	"portreeve.io/portreeve/agent/tuning/windows"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
)

// restorer is the command that gives this machine its settings back.
type restorer struct {
	*app
	isDryRun bool
	regFile  string
	tune     tuneFlags
}

func (a *app) newRestoreCommand() *cobra.Command {
	r := &restorer{app: a, tune: newTuneFlags()}
	r.tune.scope.value = tuneHost
	c := &cobra.Command{
		Use:   "restore",
		Short: "Give this machine the settings back that it had before Portreeve",
		Long: "Give this machine the settings back that it had before Portreeve, as its journal has them.\n\n" +
			"For one machine by hand, while no agent runs on it: in a cluster, delete the NodeTuning instead.\n" +
			"What another program has changed since is left as that left it.",
		Args: rejectArguments,
		RunE: func(*cobra.Command, []string) error { return r.restoreSettings() },
	}
	f := c.Flags()
	f.SortFlags = false
	f.BoolVar(&r.isDryRun, "dry-run", false, "only say what would be given back")
	if currentOS == settings.Windows {
		f.StringVar(&r.regFile, "reg", "", "first write the originals to this file, as one that regedit imports; with --dry-run only that is done")
	}
	r.tune.addPathFlags(f)
	return c
}

func (r *restorer) restoreSettings() error {
	o, err := newTuneOptions(&r.tune)
	if err != nil {
		return err
	}
	if o.DisabledReason != "" {
		return errors.New(o.DisabledReason)
	}
	o.Log = slog.New(slog.DiscardHandler)
	if err := r.exportRegFile(o); err != nil {
		return err
	}
	o.Pods = openPodsForRestore(&r.tune, o)
	list, pods, err := tuning.RestoreAll(o, r.isDryRun)
	if err != nil {
		return err
	}
	return errors.Join(r.printSettings(list), findRestoreErrors(list, pods))
}

// exportRegFile writes --reg.
func (r *restorer) exportRegFile(o tuning.Options) error {
	if r.regFile == "" {
		return nil
	}
	entries, err := tuning.ListOriginals(o)
	if err != nil {
		return err
	}
	if err := os.WriteFile(r.regFile, windows.FormatRegFile(entries), 0o600); err != nil {
		return newUsageErrorf("--reg %q: %w; must be a file that can be written", r.regFile, err)
	}
	return nil
}

func (r *restorer) printSettings(list []v1alpha1.SettingStatus) error {
	if len(list) == 0 {
		fmt.Fprintln(r.stdout, "The journal has nothing to give back.")
		return nil
	}
	w := tabwriter.NewWriter(r.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "KEY\tSTATE\tORIGINAL\tSTANDS\tMESSAGE")
	for _, s := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", s.Key, s.State, formatValue(s.Original), formatValue(s.Current), s.Message)
	}
	return w.Flush()
}

func formatValue(s *string) string {
	switch {
	case s == nil:
		return "-"
	case *s == "":
		return `""`
	}
	return *s
}

// findRestoreErrors says what could not be given back.
func findRestoreErrors(list []v1alpha1.SettingStatus, pods int) (err error) {
	for _, s := range list {
		if s.State == v1alpha1.SettingFailed {
			err = errors.Join(err, errors.New(s.Message))
		}
	}
	if pods > 0 {
		err = errors.Join(err, fmt.Errorf("the networks of pods (%d) have settings still: those go with the pods, or run this as root on the node, with its /run/netns at --netns-root", pods))
	}
	return err
}
