// Package registry reads, writes and watches the values of a Windows registry key.
package registry
