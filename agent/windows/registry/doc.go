// Package registry is a key of Windows' registry, as a tuner holds values in it.
package registry
