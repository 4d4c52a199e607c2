"""What the gateway says to people, in Chinese and English."""

from __future__ import annotations

from rules.models import Bilingual

TITLES: dict[str, Bilingual] = {
    "malformed": Bilingual(en="The body is not what its content type says", zh="正文与其内容类型不符"),
    "no_key": Bilingual(en="A feed key is needed", zh="需要有效的接入密钥"),
    "not_allowed": Bilingual(en="This key may not do that", zh="该密钥无此权限"),
    "which_facility": Bilingual(
        en="This key serves several facilities: name one with ?facility=",
        zh="该密钥对应多家单位：请用 ?facility= 指明其一",
    ),
    "too_large": Bilingual(en="More than one post may hold", zh="超出单次提交的上限"),
    "media_type": Bilingual(en="This content type or encoding is not taken here", zh="不接受该内容类型或编码"),
    "contract": Bilingual(en="The post breaks the contract", zh="提交内容不符合接口约定"),
    "quota": Bilingual(en="Too many requests in a minute", zh="一分钟内请求过多"),
    "at_once": Bilingual(
        en="Too much of this key at once: not stored, send it again with the same id",
        zh="该密钥同时提交过多：未存储，请用同一编号重新发送",
    ),
    "connections": Bilingual(en="Too many connections from this address", zh="来自该地址的连接过多"),
    "too_slow": Bilingual(
        en="The request came too slowly: not stored, send it again with the same id",
        zh="请求传输过慢：未存储，请用同一编号重新发送",
    ),
    "large_headers": Bilingual(en="The headers are too large", zh="请求头过大"),
    "busy": Bilingual(
        en="The front door is full: not stored, send it again with the same id",
        zh="前门繁忙：未存储，请用同一编号重新发送",
    ),
    "not_stored": Bilingual(
        en="Not known to be stored: send it again with the same id", zh="不能确认已存储：请用同一编号重新发送"
    ),
    "not_ready": Bilingual(
        en="The front door is not open yet: not stored, send it again with the same id",
        zh="前门尚未开放：未存储，请用同一编号重新发送",
    ),
    "not_read": Bilingual(
        en="Not read yet: no register record of this facility lies within what this gateway has read of the log",
        zh="尚未读到：本网关已读取的日志范围内没有该单位的登记记录",
    ),
    "no_such_version": Bilingual(
        en="This version of the register is not known here: the front door knows the newest one",
        zh="此处没有该登记版本：前门仅知最新版本",
    ),
    "no_such_proof": Bilingual(en="This facility has uploaded no such proof", zh="该单位未上传过此证明材料"),
    "proof_quota": Bilingual(
        en="The facility's room for proofs is used up: nothing was kept", zh="该单位的证明材料存储额度已用完：未保存"
    ),
    "not_found": Bilingual(en="There is no such address here", zh="没有此地址"),
    "method": Bilingual(en="This address does not take that method", zh="此地址不支持该方法"),
    "internal": Bilingual(
        en="A fault of the front door: not known to be stored, send it again with the same id",
        zh="前门内部故障：不能确认已存储，请用同一编号重新发送",
    ),
}

NOTES: dict[str, Bilingual] = {
    "bounds": Bilingual(
        en="Only what was received between `since` and `as_of` was looked at; what is missing here may have arrived before.",
        zh="仅查看了 since 至 as_of 之间收到的内容；此处未列出的，可能更早已收到。",
    ),
    "catching_up": Bilingual(
        en="The gateway was started a short while ago and still reads the log: the answer is not complete.",
        zh="网关刚启动，仍在读取日志：本结果尚不完整。",
    ),
    "findings_incomplete": Bilingual(
        en="Not every change of an alarm could be held or was read: the open findings may be incomplete.",
        zh="部分报警变化未能保留或未读到：未恢复报警列表可能不完整。",
    ),
    "series_left_out": Bilingual(
        en="More tags were sent than the gateway remembers; their readings are stored and not listed here.",
        zh="发送的测点超过网关可记忆的数量；其数据已存储，但未在此列出。",
    ),
    "batch_conflict": Bilingual(
        en="Batches came under an id that was used before with other content: nothing of them counts. Give each batch an id of its own.",
        zh="有批次沿用了此前已用、但内容不同的批次号：其数据均不计入。请为每个批次使用唯一编号。",
    ),
    "future": Bilingual(
        en="Readings stamped more than five minutes ahead of their receive time are kept and not judged: check the clock.",
        zh="事件时间超前接收时间五分钟以上的数据予以保存但不作判定：请检查时钟。",
    ),
}
"""Remarks in `GET /v1/feed`, by code."""

CLOSED: dict[str, Bilingual] = {
    "keys": Bilingual(
        en="The keys are not known yet: the access topic is being read", zh="密钥尚未读入：正在读取访问主题"
    ),
    "broker_down": Bilingual(en="No Kafka answers; asking again", zh="Kafka 无应答；持续重试"),
    "topics_differ": Bilingual(
        en="Cluster or topics are not what this installation was set up with: see `offsite topics verify`",
        zh="集群或主题与本系统设定不符：请运行 offsite topics verify",
    ),
    "appends_fail": Bilingual(en="The last append to the log failed", zh="最近一次写入日志失败"),
}
"""Why the front door is closed, by code (`/readyz`)."""
