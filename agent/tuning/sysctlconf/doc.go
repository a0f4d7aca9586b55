// Package sysctlconf converts sysctl files, scripts and manifests that set sysctls to
// NodeTunings. Every line that sets a sysctl is either converted or reported as dropped,
// with the reason.
//
// The syntax of sysctl files is that of sysctl.d(5) and sysctl.conf(5), which differ
// little. The package is pure: it only converts bytes.
package sysctlconf
