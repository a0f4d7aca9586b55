// Package sysctlconf reads /etc/sysctl.conf and the files of sysctl.d, and makes a
// NodeTuning of what Portreeve can hold of them. Every line that sets something is
// either in it, or among those that were dropped, with the reason.
//
// The syntax is that of sysctl.d(5) and sysctl.conf(5), which differ little. It is pure:
// bytes in, object out.
package sysctlconf
