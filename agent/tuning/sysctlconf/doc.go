// Package sysctlconf converts /etc/sysctl.conf and the files of sysctl.d to a NodeTuning.
// Every line that sets a sysctl is either converted or reported as dropped, with the
// reason.
//
// The syntax is that of sysctl.d(5) and sysctl.conf(5), which differ little. The package
// is pure: it only converts bytes.
package sysctlconf
