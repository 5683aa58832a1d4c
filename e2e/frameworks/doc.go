// Package frameworks runs job frameworks on a real redis-server, and holds the depths that
// the scaler reads of their queues against what the frameworks' own inspectors tell: asynq
// in the test itself, and BullMQ of two majors under Node.js (bullmq/driver.js).
package frameworks
