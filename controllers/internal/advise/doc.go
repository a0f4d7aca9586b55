// Package advise computes the NodeTunings that fit what PortPressures report, with the
// reasons, or which application to fix where no setting helps. It is pure.
package advise
