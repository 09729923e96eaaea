-- While the server was away it heard nobody: whom an automation expects within a time that is over gets three more minutes.
-- They begin now: a heartbeat of the outage that arrives late would move the end back into the past.
UPDATE automation_bucket AS bucket
SET start = now(), "end" = now() + interval '3 minutes'
FROM automation
WHERE automation.id = bucket.automation_id
  AND automation.trigger ->> 'posture' = 'Proactive'
  AND bucket."end" < now() + interval '3 minutes';
