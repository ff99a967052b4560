"""What is learned from: filters, weights, and buffers of whole columns."""
