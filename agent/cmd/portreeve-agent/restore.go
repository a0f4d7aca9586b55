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

// restorer is the command that restores this machine's original settings.
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
		Short: "Restore the settings that this machine had before Portreeve",
		Long: "Restore the settings that this machine had before Portreeve, from its journal.\n\n" +
			"For manual use while no agent runs on the machine; in a cluster, delete the NodeTuning instead.\n" +
			"Settings that another program has changed since are not restored.",
		Args: rejectArguments,
		RunE: func(*cobra.Command, []string) error { return r.restoreSettings() },
	}
	f := c.Flags()
	f.SortFlags = false
	f.BoolVar(&r.isDryRun, "dry-run", false, "print which settings would be restored, without writing")
	if currentOS == settings.Windows {
		f.StringVar(&r.regFile, "reg", "", "first write the original values to this file, for regedit; with --dry-run nothing else is written")
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

// exportRegFile writes the file of --reg.
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
		fmt.Fprintln(r.stdout, "The journal has no settings to restore.")
		return nil
	}
	w := tabwriter.NewWriter(r.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "KEY\tSTATE\tORIGINAL\tCURRENT\tMESSAGE")
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

// findRestoreErrors returns the errors of settings that could not be restored, and of the
// pods that still have settings.
func findRestoreErrors(list []v1alpha1.SettingStatus, pods int) (err error) {
	for _, s := range list {
		if s.State == v1alpha1.SettingFailed {
			err = errors.Join(err, errors.New(s.Message))
		}
	}
	if pods > 0 {
		err = errors.Join(err, fmt.Errorf("%d pods still have settings, which end with the pods; to restore them now, run this as root on the node, with --netns-root set to its /run/netns", pods))
	}
	return err
}
