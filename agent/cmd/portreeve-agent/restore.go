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
	dry  bool
	reg  string
	tune tuneFlags
}

func (a *app) restoreCommand() *cobra.Command {
	r := &restorer{app: a, tune: newTuneFlags()}
	r.tune.where.value = tuneHost
	c := &cobra.Command{
		Use:   "restore",
		Short: "Give this machine the settings back that it had before Portreeve",
		Long: "Give this machine the settings back that it had before Portreeve, as its journal has them.\n\n" +
			"For one machine by hand, while no agent runs on it: in a cluster, delete the NodeTuning instead.\n" +
			"What another program has changed since is left as that left it.",
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error { return r.run() },
	}
	f := c.Flags()
	f.SortFlags = false
	f.BoolVar(&r.dry, "dry-run", false, "only say what would be given back")
	if here == settings.Windows {
		f.StringVar(&r.reg, "reg", "", "first write the originals to this file, as one that regedit imports; with --dry-run only that is done")
	}
	r.tune.addPlaces(f)
	return c
}

func (r *restorer) run() error {
	o, err := tuneOptions(&r.tune)
	if err != nil {
		return err
	}
	if o.DisabledReason != "" {
		return errors.New(o.DisabledReason)
	}
	o.Log = slog.New(slog.DiscardHandler)
	if err := r.export(o); err != nil {
		return err
	}
	o.Pods = restorePods(&r.tune, o)
	list, pods, err := tuning.RestoreAll(o, r.dry)
	if err != nil {
		return err
	}
	return errors.Join(r.print(list), left(list, pods))
}

// export writes --reg.
func (r *restorer) export(o tuning.Options) error {
	if r.reg == "" {
		return nil
	}
	entries, err := tuning.ListOriginals(o)
	if err != nil {
		return err
	}
	if err := os.WriteFile(r.reg, windows.FormatRegFile(entries), 0o600); err != nil {
		return usagef("--reg %q: %w; must be a file that can be written", r.reg, err)
	}
	return nil
}

func (r *restorer) print(list []v1alpha1.SettingStatus) error {
	if len(list) == 0 {
		fmt.Fprintln(r.stdout, "The journal has nothing to give back.")
		return nil
	}
	w := tabwriter.NewWriter(r.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "KEY\tSTATE\tORIGINAL\tSTANDS\tMESSAGE")
	for _, s := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", s.Key, s.State, valueOf(s.Original), valueOf(s.Current), s.Message)
	}
	return w.Flush()
}

func valueOf(s *string) string {
	switch {
	case s == nil:
		return "-"
	case *s == "":
		return `""`
	}
	return *s
}

// left says what could not be given back.
func left(list []v1alpha1.SettingStatus, pods int) (err error) {
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
