// Package verify holds tests of the repository itself: which package may import
// which, and what every generated CRD must have.
package verify
