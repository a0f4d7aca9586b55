// Package settings is the catalogue of the settings that Portreeve can hold on a
// node: what each is called, whose it is, which values it takes, what it does and
// what it does not. The controller checks a NodeTuning against it, the agent checks
// again before it writes, and docs/reference/settings.md is made from it.
//
// It imports the standard library only, and no part of it that touches a machine.
package settings
