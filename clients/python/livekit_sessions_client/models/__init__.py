"""Contains all the data models used in inputs/outputs"""

from .active_video_session import ActiveVideoSession
from .active_video_sessions import ActiveVideoSessions
from .active_voice_session import ActiveVoiceSession
from .active_voice_session_agent_type import ActiveVoiceSessionAgentType
from .active_voice_sessions import ActiveVoiceSessions
from .cost import Cost
from .counselor_categories import CounselorCategories
from .counselor_category import CounselorCategory
from .counselor_category_change import CounselorCategoryChange
from .counselor_category_entry import CounselorCategoryEntry
from .deleted_ingress import DeletedIngress
from .deleted_ingress_status import DeletedIngressStatus
from .deleted_recording import DeletedRecording
from .deleted_recording_status import DeletedRecordingStatus
from .deleted_transcript import DeletedTranscript
from .deleted_transcript_status import DeletedTranscriptStatus
from .deleted_webhook_endpoint import DeletedWebhookEndpoint
from .deleted_webhook_endpoint_status import DeletedWebhookEndpointStatus
from .ended_session import EndedSession
from .ended_session_status import EndedSessionStatus
from .ended_video_session import EndedVideoSession
from .ended_video_session_status import EndedVideoSessionStatus
from .ended_voice_session import EndedVoiceSession
from .ended_voice_session_status import EndedVoiceSessionStatus
from .erased_user import ErasedUser
from .erased_user_status import ErasedUserStatus
from .ingress import Ingress
from .ingress_kind import IngressKind
from .ingress_request import IngressRequest
from .ingress_request_kind import IngressRequestKind
from .ingress_state import IngressState
from .ingress_status import IngressStatus
from .ingress_status_kind import IngressStatusKind
from .ingress_status_state import IngressStatusState
from .issued_token import IssuedToken
from .list_counselor_categories_all import ListCounselorCategoriesAll
from .list_sessions_mode import ListSessionsMode
from .list_sessions_state import ListSessionsState
from .list_webhook_deliveries_state import ListWebhookDeliveriesState
from .made_ingress import MadeIngress
from .made_ingress_kind import MadeIngressKind
from .new_counselor_category import NewCounselorCategory
from .new_webhook_endpoint import NewWebhookEndpoint
from .new_webhook_endpoint_events_item import NewWebhookEndpointEventsItem
from .overview import Overview
from .overview_agent_ms import OverviewAgentMs
from .overview_agents import OverviewAgents
from .overview_live import OverviewLive
from .participant_usage import ParticipantUsage
from .problem import Problem
from .problem_errors_item import ProblemErrorsItem
from .problem_errors_item_in import ProblemErrorsItemIn
from .recording import Recording
from .recording_state import RecordingState
from .recordings import Recordings
from .session import Session
from .session_agent import SessionAgent
from .session_agent_state import SessionAgentState
from .session_agent_type import SessionAgentType
from .session_detail import SessionDetail
from .session_detail_agent import SessionDetailAgent
from .session_detail_agent_state import SessionDetailAgentState
from .session_detail_agent_type import SessionDetailAgentType
from .session_detail_end_reason_type_0 import SessionDetailEndReasonType0
from .session_detail_mode import SessionDetailMode
from .session_detail_state import SessionDetailState
from .session_detail_transcript_type_0 import SessionDetailTranscriptType0
from .session_end_reason_type_0 import SessionEndReasonType0
from .session_event import SessionEvent
from .session_event_data import SessionEventData
from .session_event_type import SessionEventType
from .session_mode import SessionMode
from .session_page import SessionPage
from .session_state import SessionState
from .session_transcript_type_0 import SessionTranscriptType0
from .session_usage import SessionUsage
from .started_video_session import StartedVideoSession
from .started_voice_session import StartedVoiceSession
from .started_voice_session_agent_type import StartedVoiceSessionAgentType
from .token_request import TokenRequest
from .token_request_room_config import TokenRequestRoomConfig
from .token_request_room_config_agents_item import TokenRequestRoomConfigAgentsItem
from .token_request_room_config_agents_item_agent_name import (
    TokenRequestRoomConfigAgentsItemAgentName,
)
from .transcript import Transcript
from .transcript_line import TranscriptLine
from .transcript_line_by import TranscriptLineBy
from .transcript_state import TranscriptState
from .usage_day import UsageDay
from .usage_page import UsagePage
from .user_export import UserExport
from .user_export_acts_item import UserExportActsItem
from .user_export_events_item import UserExportEventsItem
from .user_export_messages_item import UserExportMessagesItem
from .user_export_recordings_item import UserExportRecordingsItem
from .user_export_sessions_item import UserExportSessionsItem
from .user_export_transcripts_item import UserExportTranscriptsItem
from .user_export_usage_item import UserExportUsageItem
from .video_session_request import VideoSessionRequest
from .video_session_status import VideoSessionStatus
from .voice_session_request import VoiceSessionRequest
from .voice_session_request_agent_type import VoiceSessionRequestAgentType
from .voice_session_status import VoiceSessionStatus
from .webhook_deliveries import WebhookDeliveries
from .webhook_delivery import WebhookDelivery
from .webhook_delivery_entry import WebhookDeliveryEntry
from .webhook_delivery_entry_state import WebhookDeliveryEntryState
from .webhook_delivery_entry_type import WebhookDeliveryEntryType
from .webhook_delivery_state import WebhookDeliveryState
from .webhook_delivery_type import WebhookDeliveryType
from .webhook_endpoint import WebhookEndpoint
from .webhook_endpoint_change import WebhookEndpointChange
from .webhook_endpoint_change_events_item import WebhookEndpointChangeEventsItem
from .webhook_endpoint_entry import WebhookEndpointEntry
from .webhook_endpoint_entry_events_item import WebhookEndpointEntryEventsItem
from .webhook_endpoint_events_item import WebhookEndpointEventsItem
from .webhook_endpoint_with_secret import WebhookEndpointWithSecret
from .webhook_endpoint_with_secret_events_item import (
    WebhookEndpointWithSecretEventsItem,
)
from .webhook_endpoints import WebhookEndpoints

__all__ = (
    "ActiveVideoSession",
    "ActiveVideoSessions",
    "ActiveVoiceSession",
    "ActiveVoiceSessionAgentType",
    "ActiveVoiceSessions",
    "Cost",
    "CounselorCategories",
    "CounselorCategory",
    "CounselorCategoryChange",
    "CounselorCategoryEntry",
    "DeletedIngress",
    "DeletedIngressStatus",
    "DeletedRecording",
    "DeletedRecordingStatus",
    "DeletedTranscript",
    "DeletedTranscriptStatus",
    "DeletedWebhookEndpoint",
    "DeletedWebhookEndpointStatus",
    "EndedSession",
    "EndedSessionStatus",
    "EndedVideoSession",
    "EndedVideoSessionStatus",
    "EndedVoiceSession",
    "EndedVoiceSessionStatus",
    "ErasedUser",
    "ErasedUserStatus",
    "Ingress",
    "IngressKind",
    "IngressRequest",
    "IngressRequestKind",
    "IngressState",
    "IngressStatus",
    "IngressStatusKind",
    "IngressStatusState",
    "IssuedToken",
    "ListCounselorCategoriesAll",
    "ListSessionsMode",
    "ListSessionsState",
    "ListWebhookDeliveriesState",
    "MadeIngress",
    "MadeIngressKind",
    "NewCounselorCategory",
    "NewWebhookEndpoint",
    "NewWebhookEndpointEventsItem",
    "Overview",
    "OverviewAgentMs",
    "OverviewAgents",
    "OverviewLive",
    "ParticipantUsage",
    "Problem",
    "ProblemErrorsItem",
    "ProblemErrorsItemIn",
    "Recording",
    "RecordingState",
    "Recordings",
    "Session",
    "SessionAgent",
    "SessionAgentState",
    "SessionAgentType",
    "SessionDetail",
    "SessionDetailAgent",
    "SessionDetailAgentState",
    "SessionDetailAgentType",
    "SessionDetailEndReasonType0",
    "SessionDetailMode",
    "SessionDetailState",
    "SessionDetailTranscriptType0",
    "SessionEndReasonType0",
    "SessionEvent",
    "SessionEventData",
    "SessionEventType",
    "SessionMode",
    "SessionPage",
    "SessionState",
    "SessionTranscriptType0",
    "SessionUsage",
    "StartedVideoSession",
    "StartedVoiceSession",
    "StartedVoiceSessionAgentType",
    "TokenRequest",
    "TokenRequestRoomConfig",
    "TokenRequestRoomConfigAgentsItem",
    "TokenRequestRoomConfigAgentsItemAgentName",
    "Transcript",
    "TranscriptLine",
    "TranscriptLineBy",
    "TranscriptState",
    "UsageDay",
    "UsagePage",
    "UserExport",
    "UserExportActsItem",
    "UserExportEventsItem",
    "UserExportMessagesItem",
    "UserExportRecordingsItem",
    "UserExportSessionsItem",
    "UserExportTranscriptsItem",
    "UserExportUsageItem",
    "VideoSessionRequest",
    "VideoSessionStatus",
    "VoiceSessionRequest",
    "VoiceSessionRequestAgentType",
    "VoiceSessionStatus",
    "WebhookDeliveries",
    "WebhookDelivery",
    "WebhookDeliveryEntry",
    "WebhookDeliveryEntryState",
    "WebhookDeliveryEntryType",
    "WebhookDeliveryState",
    "WebhookDeliveryType",
    "WebhookEndpoint",
    "WebhookEndpointChange",
    "WebhookEndpointChangeEventsItem",
    "WebhookEndpointEntry",
    "WebhookEndpointEntryEventsItem",
    "WebhookEndpointEventsItem",
    "WebhookEndpointWithSecret",
    "WebhookEndpointWithSecretEventsItem",
    "WebhookEndpoints",
)
