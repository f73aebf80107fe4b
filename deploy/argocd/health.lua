-- What Argo CD shows as the health of a MaiInstance. argocd-cm.yaml holds the same text.
local annotations = obj.metadata.annotations
if annotations ~= nil and annotations["mai.dev/paused"] == "true" then
  return { status = "Suspended", message = "Nothing is done for it while the annotation mai.dev/paused is true" }
end

local hs = { status = "Progressing", message = "Waiting for the operator" }
local status = obj.status
if status == nil or status.conditions == nil then return hs end
-- What the status says of an older document says nothing of this one.
if status.observedGeneration ~= nil and status.observedGeneration ~= obj.metadata.generation then return hs end

local found = {}
for _, condition in ipairs(status.conditions) do found[condition.type] = condition end
local ready, stalled, reconciling = found["Ready"], found["Stalled"], found["Reconciling"]

if ready ~= nil and ready.reason == "Suspended" then
  return { status = "Suspended", message = ready.message }
end
if stalled ~= nil and stalled.status == "True" then
  return { status = "Degraded", message = stalled.message }
end
if reconciling ~= nil and reconciling.status == "True" then
  return { status = "Progressing", message = reconciling.message }
end
if ready ~= nil and ready.status == "True" then
  return { status = "Healthy", message = ready.message }
end
if ready ~= nil and ready.status == "False" then
  return { status = "Degraded", message = ready.message }
end
return hs
