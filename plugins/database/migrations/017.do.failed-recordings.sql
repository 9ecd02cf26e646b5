-- Nobody can have what a recording that failed has left, and where LiveKit could not be asked an egress may still write it: it goes as what was deleted does.
create trigger recording_failed after update of recording on sessions for each row
  when (new.recording = 'failed' and old.recording is distinct from 'failed' and old.recording_file is not null) execute function leave_recording();
