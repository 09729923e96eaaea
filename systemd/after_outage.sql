-- While the server was away it heard nobody: whom an automation expects within a time that is over gets three more minutes.
UPDATE automation_bucket AS bucket
SET "end" = now() + interval '3 minutes'
FROM automation
WHERE automation.id = bucket.automation_id
  AND automation.trigger ->> 'posture' = 'Proactive'
  AND bucket."end" < now() + interval '3 minutes';
