// Package powershell reads and sets, through cmdlets of Windows' PowerShell, what netsh and
// the documented functions of the IP Helper API do not offer: the auto-reuse range of TCP,
// and the ports that are bound without a connection.
package powershell
